"""The story of one order, in plain sentences, with what happened around it meanwhile."""

from collections.abc import Iterator, Sequence

from sim.report.scene import Mark, Scene

LINES_MAX = 400


def story_of(scene: Scene, order: int) -> list[Mark]:
    """Return the marks that tell the story of an order, in the order of time.

    Faults, crashes and violations belong to everybody's story while the order was under way.
    """
    own = [mark for mark in scene.marks if mark.order == order and mark.story]
    if not own:
        return []
    first, last = own[0].at, max(mark.until or mark.at for mark in own)
    meanwhile = [mark for mark in scene.marks if mark.order == 0 and _concerns(mark, first, last)]
    told = sorted([*own, *meanwhile], key=lambda mark: (mark.step, mark.at))
    return told[:LINES_MAX]


def _concerns(mark: Mark, first: float, last: float) -> bool:
    around = mark.at <= last and (mark.until or mark.at) >= first
    return around and (mark.lane == "faults" or mark.shape == "flag")


def text_lines(marks: Sequence[Mark]) -> Iterator[str]:
    """Yield a story as lines of text."""
    for mark in marks:
        flag = ">>" if mark.shape == "flag" else "  "
        yield f"{flag}{mark.step:>6}  t=+{mark.at:.3f}s  {mark.text}"
