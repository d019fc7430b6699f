"""The picture: well-formed, complete in its view, and readable without a script or colours."""

from xml.etree import ElementTree

from sim.report.drawing import View, draw, shown
from tests.sim.report.scenes import mark, scene

SVG = "{http://www.w3.org/2000/svg}"


def _groups(svg: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    groups = root.iter(f"{SVG}g")
    return [group for group in groups if "mark" in group.get("class", "").split()]


def test_every_mark_of_the_view_is_drawn_with_its_sentence() -> None:
    marks = [
        mark(float(n), order=1 + n % 2, label="<&>", text=f"Number {n} <b>") for n in range(20)
    ]
    made = scene(marks)
    view = View(3.0, 12.0, order=2)
    groups = _groups(draw(made, view, standalone=True))
    assert len(groups) == len(shown(made, view)) == 5
    titles = [group.findtext(f"{SVG}title") or "" for group in groups]
    assert all("Number" in title for title in titles)


def test_bars_that_reach_into_the_view_are_in_it() -> None:
    bar = mark(1.0, until=10.0, shape="row", lane="outbox")
    assert shown(scene([bar]), View(5.0, 6.0)) == [(0, bar)]
    assert shown(scene([bar]), View(11.0, 12.0)) == []


def test_a_bar_with_an_unknown_end_is_torn() -> None:
    torn = mark(1.0, until=4.0, torn=True, shape="work", lane="payment")
    whole = mark(1.0, until=4.0, shape="work", lane="shipping")
    picture = draw(scene([torn, whole]), View(0.0, 5.0), standalone=False)
    assert picture.count('class="bar torn"') == 1
    assert picture.count('<rect class="bar"') == 1


def test_a_picture_of_its_own_has_its_colours_and_needs_nothing_else() -> None:
    svg = draw(scene([mark(1.0)]), View(0.0, 5.0), standalone=True)
    assert "prefers-color-scheme: dark" in svg
    assert svg.replace("http://www.w3.org/2000/svg", "").find("http") < 0


def test_an_empty_view_is_a_picture_of_empty_lanes() -> None:
    assert _groups(draw(scene([]), View(0.0, 5.0), standalone=True)) == []
