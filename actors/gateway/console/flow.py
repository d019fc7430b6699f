"""The picture of where events go: boxes and lines, for wide screens and for narrow ones."""

from collections.abc import Callable, Sequence

import msgspec

MARGIN = 8
BOX_WIDTH, BOX_HEIGHT, ROW, COLUMN = 164, 144, 164, 196
TALL_BOX_WIDTH, TALL_ALONE_WIDTH, TALL_STEP, TALL_GAP, TALL_MARGIN = 104, 144, 109, 26, 1
HEAD_HEIGHT, LINE_HEIGHT = 46, 15

Pairs = Sequence[tuple[tuple[str, str], tuple[str, str]]]
"""Where lines begin and end: kind and name."""


class Place(msgspec.Struct, frozen=True):
    """One box: its name, what kind of thing it is, its figures, and whether it is as it should be.

    It is in ``column`` of the way that events take, and in ``row``, counted in halves, of that
    column. ``path`` is where more is told of it, if anywhere.
    """

    name: str
    kind: str
    figures: dict[str, str]
    tone: str
    column: int
    row: int
    path: str = ""


class Box(msgspec.Struct, frozen=True):
    """A place in a picture: its left and upper edge, and its size."""

    place: Place
    x: int
    y: int
    width: int
    height: int


class Picture(msgspec.Struct, frozen=True):
    """Boxes, and lines between them as SVG paths."""

    boxes: list[Box]
    lines: list[str]
    width: int
    height: int


def wide(shown: Sequence[Place], pairs: Pairs) -> Picture:
    """Return the picture from left to right: each column of the way has all its rows."""
    boxes = [
        Box(
            place,
            MARGIN + place.column * COLUMN,
            MARGIN + place.row * ROW // 2,
            BOX_WIDTH,
            BOX_HEIGHT,
        )
        for place in shown
    ]
    return _picture(boxes, pairs, _across, MARGIN)


def tall(shown: Sequence[Place], pairs: Pairs) -> Picture:
    """Return the picture for a narrow screen: each column is a row, as high as its figures."""
    columns: list[list[Place]] = [[] for _ in range(1 + max(place.column for place in shown))]
    for place in shown:
        columns[place.column].append(place)
    boxes: list[Box] = []
    top = TALL_MARGIN
    for column in columns:
        width = TALL_BOX_WIDTH if len(column) > 1 else TALL_ALONE_WIDTH
        height = HEAD_HEIGHT + LINE_HEIGHT * max(len(place.figures) for place in column)
        for place in column:
            middle = TALL_MARGIN + (TALL_BOX_WIDTH + place.row * TALL_STEP) // 2
            boxes.append(Box(place, middle - width // 2, top, width, height))
        top += height + TALL_GAP
    return _picture(boxes, pairs, _down, TALL_MARGIN)


def _picture(
    boxes: list[Box], pairs: Pairs, line: Callable[[Box, Box], str], margin: int
) -> Picture:
    by_name = {(box.place.kind, box.place.name): box for box in boxes}
    return Picture(
        boxes,
        [line(by_name[start], by_name[end]) for start, end in pairs],
        max(box.x + box.width for box in boxes) + margin,
        max(box.y + box.height for box in boxes) + margin,
    )


def _across(start: Box, end: Box) -> str:
    x1, y1 = start.x + start.width, start.y + start.height // 2
    x2, y2 = end.x, end.y + end.height // 2
    bend = (x1 + x2) // 2
    return f"M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}"


def _down(start: Box, end: Box) -> str:
    x1, y1 = start.x + start.width // 2, start.y + start.height
    x2, y2 = end.x + end.width // 2, end.y
    bend = (y1 + y2) // 2
    return f"M{x1} {y1} C{x1} {bend} {x2} {bend} {x2} {y2}"
