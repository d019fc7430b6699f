"""An order's history as a picture: a lane for each who stated something, a dot for each event."""

from collections.abc import Sequence

import msgspec

from actors.domain.events import Event
from actors.gateway.pages.story import timeline

LANES = ("order-event-service", "payment-service", "shipping-service")
LEFT, STEP, TOP, HEIGHT = 150, 64, 34, 56


class Dot(msgspec.Struct, frozen=True):
    """One event at its place; ``x`` and ``y`` in the picture's own units."""

    x: int
    y: int
    tone: str
    event: Event
    title: str


class Lane(msgspec.Struct, frozen=True):
    """One lane and its name."""

    name: str
    y: int


class Picture(msgspec.Struct, frozen=True):
    """Everything that the template draws; ``path`` joins the events in their order."""

    width: int
    height: int
    left: int
    lanes: list[Lane]
    dots: list[Dot]
    path: str


def picture(events: Sequence[Event]) -> Picture:
    """Return the picture of these events, by version from left to right."""
    lanes = [Lane(name, TOP + row * HEIGHT) for row, name in enumerate(LANES)]
    heights = {lane.name: lane.y for lane in lanes}
    dots = [
        Dot(
            LEFT + column * STEP,
            heights[entry.event.type.app_id],
            entry.tone,
            entry.event,
            f"v{entry.event.version} {entry.event.type.name}",
        )
        for column, entry in enumerate(timeline(events))
    ]
    path = " ".join(f"{'L' if row else 'M'}{dot.x} {dot.y}" for row, dot in enumerate(dots))
    width = LEFT + max(1, len(dots)) * STEP
    return Picture(width, TOP + len(LANES) * HEIGHT - 10, LEFT - 20, lanes, dots, path)
