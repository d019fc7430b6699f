"""Where marks go: time becomes a distance, and each lane as many rows as its labels need.

On the *step* axis every moment at which something happens has the same distance from the next, so
that a burst of milliseconds and a wait of seconds can both be read. On the *time* axis distance is
time. `script.js` does the same in the browser, when somebody zooms.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

import msgspec

from sim.report.scene import Mark

Axis = Literal["step", "time"]
LETTER = 5.7
GLYPH = 10.0
ROWS_MAX = 9
ROW_HEIGHT = 16.0
LANE_PADDING = 5.0


class Scale:
    """Maps virtual seconds between ``moments`` to distances between ``left`` and ``right``."""

    def __init__(self, moments: Sequence[float], left: float, right: float, axis: Axis) -> None:
        self._times = sorted(set(moments)) or [0.0]
        self._left, self._right = left, right
        self._axis = axis

    def x(self, at: float) -> float:
        """Return the distance of a time; what lies outside is at the edge."""
        times = self._times
        if at <= times[0]:
            return self._left
        if at >= times[-1]:
            return self._right
        if self._axis == "time":
            share = (at - times[0]) / (times[-1] - times[0])
        else:
            after = bisect_right(times, at)
            before = times[after - 1]
            share = (after - 1 + (at - before) / (times[after] - before)) / (len(times) - 1)
        return self._left + share * (self._right - self._left)

    @property
    def times(self) -> Sequence[float]:
        """The moments, each once, ascending."""
        return self._times


class Placed(msgspec.Struct, frozen=True):
    """A mark, its number in the scene, and its place: ``y`` is the middle of its row.

    ``labelled``: there is room for the label.
    """

    number: int
    mark: Mark
    x: float
    right: float
    y: float
    labelled: bool


class Band(msgspec.Struct, frozen=True):
    """A lane with its place."""

    lane: str
    top: float
    height: float


def place(
    lanes: Sequence[str], marks: Sequence[tuple[int, Mark]], scale: Scale, top: float
) -> tuple[list[Band], list[Placed]]:
    """Give every lane a band, and every mark of it a row."""
    bands: list[Band] = []
    placed: list[Placed] = []
    for lane in lanes:
        rows = _Rows()
        found = [
            (number, mark, *rows.add(mark, scale)) for number, mark in marks if mark.lane == lane
        ]
        height = 2 * LANE_PADDING + max(1, rows.count) * ROW_HEIGHT
        middle = top + LANE_PADDING + ROW_HEIGHT / 2
        placed += [
            Placed(number, mark, x, right, middle + row * ROW_HEIGHT, labelled)
            for number, mark, x, right, row, labelled in found
        ]
        bands.append(Band(lane, top, height))
        top += height
    return bands, placed


class _Rows:
    """The rows of one lane: how far each is taken."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    @property
    def count(self) -> int:
        return len(self._ends)

    def add(self, mark: Mark, scale: Scale) -> tuple[float, float, int, bool]:
        x = scale.x(mark.at)
        right = x + GLYPH if mark.until is None else max(x + 3, scale.x(mark.until))
        text = LETTER * len(mark.label)
        fits = mark.until is not None and text + 6 <= right - x
        wanted = right if fits else right + 5 + text
        for row, end in enumerate(self._ends):
            if end <= x - GLYPH / 2:
                self._ends[row] = wanted
                return x, right, row, True
        if len(self._ends) < ROWS_MAX:
            self._ends.append(wanted)
            return x, right, len(self._ends) - 1, True
        # No row is free for the label: the mark goes where it covers least.
        row = min(range(len(self._ends)), key=self._ends.__getitem__)
        self._ends[row] = max(self._ends[row], right)
        return x, right, row, False
