"""A scene as SVG: lanes from top to bottom, time from left to right.

Every mark is a group with its facts as ``data-`` attributes, so that a script can move it; without
one, the picture is what it is. Kinds differ in shape, tones in colour: neither is needed twice.
"""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

import msgspec

from sim.report.layout import GLYPH, LETTER, ROW_HEIGHT, Axis, Band, Placed, Scale, place
from sim.report.scene import Down, Mark, Phase, Scene

LEFT, RIGHT, TOP, BOTTOM = 104.0, 24.0, 34.0, 26.0
MOMENT_WIDTH = 26.0
WIDTH_MIN = 1120.0
_TICKS_PER = 90.0

# Instants: drawn around the origin, about GLYPH wide.
GLYPHS = {
    "event": '<circle class="glyph" r="4.6"/>',
    "publish": '<path class="glyph" d="M0-5 5 4-5 4Z"/>',
    "deliver": '<path class="glyph hollow" d="M0 5 5-4-5-4Z"/>',
    "again": '<path class="glyph hollow" d="M-1 5 4-3-6-3Z"/><path class="open" d="M4 4 7-1"/>',
    "mail": '<path class="glyph hollow" d="M-5-4H5V4H-5ZM-5-4 0 1 5-4"/>',
    "log": '<path class="glyph hollow" d="M0-4.5 4.5 0 0 4.5-4.5 0Z"/>',
    "crash": '<path class="open" d="M-4.5-4.5 4.5 4.5M4.5-4.5-4.5 4.5"/>',
    "start": '<path class="glyph" d="M-4-5 5 0-4 5Z"/>',
    "strike": '<path class="glyph" d="M1-6-4 1H0L-1 6 4-1H0Z"/>',
    "flag": '<path class="glyph" d="M-4 7V-7H6L3-3 6 1H-4"/>',
}


class View(msgspec.Struct, frozen=True):
    """What of a scene is drawn: marks from one time to another, of some orders (none: of all)."""

    begin_s: float
    end_s: float
    order: int = 0
    axis: Axis = "step"


def shown(scene: Scene, view: View) -> list[tuple[int, Mark]]:
    """Return the marks of a view, numbered: those of its order, and those that are nobody's."""
    return [
        (number, mark)
        for number, mark in enumerate(scene.marks)
        if mark.order in (0, view.order or mark.order)
        and mark.at <= view.end_s
        and (mark.at if mark.until is None else mark.until) >= view.begin_s
    ]


def draw(scene: Scene, view: View, *, standalone: bool) -> str:
    """Return the picture; ``standalone`` with its own colours, for a file of its own."""
    marks = shown(scene, view)
    moments = [min(max(mark.at, view.begin_s), view.end_s) for _, mark in marks]
    moments += [mark.until for _, mark in marks if mark.until and mark.until <= view.end_s]
    distinct = len(set(moments))
    width = max(WIDTH_MIN, LEFT + RIGHT + MOMENT_WIDTH * distinct)
    scale = Scale(moments, LEFT + GLYPH, width - RIGHT - 120, view.axis)
    bands, placed = place(scene.lanes, marks, scale, TOP)
    bottom = bands[-1].top + bands[-1].height
    parts = [
        *_frame(scene, bands, scale, view, width, bottom),
        *_links(scene.links, placed),
        *(_mark(one, whose=not view.order) for one in placed),
        *_names(bands),
    ]
    style = (
        f"<style>{_css('palette.css')}{_css('picture.css')}{_FONT}</style>" if standalone else ""
    )
    height = bottom + BOTTOM
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="picture" role="img"'
        f' viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        ' aria-label="Timeline of the run">'
        f"{style}{HATCH}{_paper(width, height) if standalone else ''}{''.join(parts)}</svg>"
    )


_FONT = "svg{font:11px system-ui,sans-serif}"
HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"'
    ' patternTransform="rotate(45)"><rect width="2.2" height="6" style="fill:var(--hatch)"/>'
    "</pattern></defs>"
)


def _paper(width: float, height: float) -> str:
    return f'<rect width="{width:g}" height="{height:g}" style="fill:var(--paper)"/>'


def _css(name: str) -> str:
    return (files("sim.report") / name).read_text()


def _frame(
    scene: Scene, bands: Sequence[Band], scale: Scale, view: View, width: float, bottom: float
) -> Iterator[str]:
    for number, band in enumerate(bands):
        odd = " odd" if number % 2 else ""
        yield (
            f'<rect class="lane{odd}" data-lane="{band.lane}" x="0" y="{band.top:g}"'
            f' width="{width:g}" height="{band.height:g}"/>'
        )
    for down in scene.downs:
        yield from _down(down, bands, scale, view)
    yield from _ticks(scale, bottom)
    for number, phase in enumerate(scene.phases):
        if view.begin_s <= phase.at <= view.end_s:
            yield _phase(phase, scale, bottom, number)
    if scene.focus_step and view.begin_s <= scene.focus_s <= view.end_s:
        x = scale.x(scene.focus_s)
        yield f'<path class="here" data-at="{scene.focus_s:.6f}" d="M{x:.1f} {TOP}V{bottom:g}"/>'


def _down(down: Down, bands: Sequence[Band], scale: Scale, view: View) -> Iterator[str]:
    until = view.end_s if down.until is None else down.until
    if until < view.begin_s or down.at > view.end_s:
        return
    left, right = scale.x(down.at), scale.x(until)
    for band in bands:
        if band.lane in down.lanes:
            yield (
                f'<rect class="down" data-at="{down.at:.6f}" data-until="{until:.6f}"'
                f' data-lane="{band.lane}" x="{left:.1f}" y="{band.top:g}"'
                f' width="{max(2.0, right - left):.1f}" height="{band.height:g}">'
                f"<title>{escape(f'{down.node}: {down.why}')}</title></rect>"
            )


def _ticks(scale: Scale, bottom: float) -> Iterator[str]:
    last = -_TICKS_PER
    for at in scale.times:
        x = scale.x(at)
        if x - last >= _TICKS_PER:
            last = x
            yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom:g}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{bottom + 15:g}">+{at:.3f}s</text>'


def _phase(phase: Phase, scale: Scale, bottom: float, number: int) -> str:
    """Draw the line at which a phase begins; names of neighbours are not on one height."""
    x, y = scale.x(phase.at), TOP - 6 - 12 * (number % 2)
    return (
        f'<g data-at="{phase.at:.6f}"><path class="phase" d="M{x:.1f} {TOP - 14}V{bottom:g}"/>'
        f'<text class="phase-name" x="{x + 4:.1f}" y="{y}">{escape(phase.name)}</text></g>'
    )


def _names(bands: Sequence[Band]) -> Iterator[str]:
    """Name the lanes, on a ground of their own: the script keeps them in sight."""
    yield '<g class="names">'
    for number, band in enumerate(bands):
        odd = " odd" if number % 2 else ""
        yield (
            f'<rect class="lane{odd}" x="0" y="{band.top:g}" width="{LEFT - 8:g}"'
            f' height="{band.height:g}"/>'
            f'<text class="lane-name" x="8" y="{band.top + ROW_HEIGHT:g}">{band.lane}</text>'
        )
    yield "</g>"


def _links(links: Sequence[tuple[int, int]], placed: Sequence[Placed]) -> Iterator[str]:
    """Join causes and effects."""
    places = {one.number: one for one in placed}
    for cause, effect in links:
        if cause in places and effect in places:
            one, other = places[cause], places[effect]
            yield (
                f'<path class="link" data-from="{cause}" data-to="{effect}"'
                f' d="M{one.x:.1f} {one.y:.1f} {other.x:.1f} {other.y:.1f}"/>'
            )


def label_of(mark: Mark, *, whose: bool) -> str:
    """Return a mark's label; with its order's number if several orders are shown."""
    label = f"{mark.label} x{mark.count}" if mark.count > 1 else mark.label
    own = whose and mark.order and mark.lane != "client"
    return f"o{mark.order} {label}" if own else label


def _mark(one: Placed, *, whose: bool) -> str:
    mark = one.mark
    label = label_of(mark, whose=whose)
    inner = GLYPHS.get(mark.shape) or _bar(mark, one.right - one.x)
    until = "" if mark.until is None else f' data-until="{mark.until:.6f}"'
    text = f'<text x="{_offset(one):.1f}" y="3.8">{escape(label)}</text>' if one.labelled else ""
    return (
        f'<g class="mark {mark.tone} {mark.shape}" data-n="{one.number}" data-lane="{mark.lane}"'
        f' data-at="{mark.at:.6f}"{until} data-order="{mark.order}"'
        f' transform="translate({one.x:.1f} {one.y:.1f})">'
        f"<title>{escape(f'step {mark.step}  t=+{mark.at:.3f}s  {mark.text}')}</title>"
        f"{inner}{text}</g>"
    )


def _offset(one: Placed) -> float:
    """Return where the label begins: in a bar that is wide enough, or else behind it."""
    if one.mark.until is None:
        return GLYPH / 2 + 3
    width = one.right - one.x
    return 4.0 if LETTER * len(one.mark.label) + 6 <= width else width + 5


def _bar(mark: Mark, width: float) -> str:
    half = ROW_HEIGHT / 2 - 2.5
    if not mark.torn:
        return f'<rect class="bar" y="{-half:g}" width="{width:.1f}" height="{2 * half:g}" rx="2"/>'
    # No right edge, but a torn one: nobody knows when it ended.
    teeth = f"V{-half:g}H{width:.1f}l3 {half / 2:g}-3 {half / 2:g} 3 {half / 2:g}-3 {half / 2:g}H0"
    return f'<path class="bar torn" d="M0 {half:g}{teeth}Z"/>'
