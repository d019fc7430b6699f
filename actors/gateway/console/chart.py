"""A figure over the last quarter of an hour, as an SVG path and in words."""

from collections.abc import Sequence

import msgspec

from actors.domain.event_json import rfc3339
from actors.gateway.console.backstage import ProcessStatus
from actors.samples import PENDING
from runtime.sampling import EVERY_S, KEPT, Samples

WIDTH, HEIGHT = 720, 96
WINDOW_MS = int(EVERY_S * (KEPT - 1) * 1000)


class Chart(msgspec.Struct, frozen=True):
    """``line`` runs from left to right through ``WIDTH`` by ``HEIGHT``, ``area`` is what it covers.

    ``most`` is the scale's upper end; ``begins`` and ``ends`` are times of day, UTC.
    """

    line: str
    area: str
    most: int
    peak: int
    peak_at: str
    now: int
    begins: str
    ends: str
    since: str
    every_s: float


def outbox_chart(status: ProcessStatus | None) -> Chart | None:
    """Return the outbox's chart as its process has sampled it; None where it has not."""
    samples = None if status is None else status.samples
    if samples is None or not samples.levels.get(PENDING):
        return None
    return chart(samples, samples.levels[PENDING])


def chart(samples: Samples, values: Sequence[float]) -> Chart:
    """Return the chart of one level, sampled at least once."""
    times, whole = samples.at_ms, [round(value) for value in values]
    first_ms = times[-1] - WINDOW_MS
    peak = max(whole)
    most = max(peak, 1)
    points = [
        (_across(at_ms - first_ms), _up(value, most))
        for at_ms, value in zip(times, whole, strict=True)
        if at_ms >= first_ms
    ]
    line = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    area = f"{line} L{points[-1][0]:.1f} {HEIGHT} L{points[0][0]:.1f} {HEIGHT} Z"
    return Chart(
        line=line,
        area=area,
        most=most,
        peak=peak,
        peak_at=time_of_day(times[whole.index(peak)]),
        now=whole[-1],
        begins=time_of_day(first_ms),
        ends=time_of_day(times[-1]),
        since=time_of_day(samples.since_ms),
        every_s=samples.every_s,
    )


def time_of_day(at_ms: int) -> str:
    """Return a time of day, UTC, to the second.

    >>> time_of_day(1_764_190_805_250)
    '21:00:05'
    """
    return rfc3339(at_ms)[11:19]


def _across(ms: int) -> float:
    return WIDTH * ms / WINDOW_MS


def _up(value: float, most: float) -> float:
    return HEIGHT - (HEIGHT - 4) * value / most
