"""What led to what: links between marks, by a table of who can be whose cause.

A customer's request leads to an event, an event to a row of the outbox, a row to a publish, that to
deliveries, a delivery to a service's work, and work to calls, and to events again.
"""

from collections.abc import Callable, Sequence

from sim.report.scene import Mark, Shape

# Bars are found by their beginning; what somebody does in a bar may be told a moment later.
_SLACK_S = 0.02
Fits = Callable[[Mark, Mark], bool]


def _same_message(cause: Mark, effect: Mark) -> bool:
    return cause.thread == effect.thread


def _at_work(cause: Mark, effect: Mark) -> bool:
    until = cause.at if cause.until is None else cause.until
    same = cause.order == effect.order and cause.lane == effect.by
    return same and effect.at <= until + _SLACK_S


def _asked(cause: Mark, effect: Mark) -> bool:
    until = cause.at if cause.until is None else cause.until
    return cause.order == effect.order and effect.at <= until + _SLACK_S


def _meant_for(cause: Mark, effect: Mark) -> bool:
    return _same_message(cause, effect) and cause.to == effect.lane


def _before(cause: Mark, effect: Mark) -> bool:
    return _same_message(cause, effect) and cause.lane == effect.lane


# effect: its possible causes, in the order of preference; the latest that fits is taken.
CAUSES: dict[Shape, tuple[tuple[Shape, Fits], ...]] = {
    "event": (("work", _at_work), ("request", _asked)),
    "row": (("event", _same_message),),
    "publish": (("row", _same_message), ("work", _same_message)),
    "deliver": (("publish", _same_message),),
    "again": (("publish", _same_message),),
    "work": (("deliver", _meant_for), ("again", _meant_for), ("work", _before)),
    "call": (("work", _at_work),),
}
_REACH = 400


def links_of(marks: Sequence[Mark]) -> list[tuple[int, int]]:
    """Return pairs of cause and effect, as positions in ``marks`` (which are in time's order)."""
    links: list[tuple[int, int]] = []
    positions: dict[Shape, list[int]] = {}
    for effect_at, effect in enumerate(marks):
        for shape, fits in CAUSES.get(effect.shape, ()):
            earlier = positions.get(shape, [])[-_REACH:]
            cause_at = next((at for at in reversed(earlier) if fits(marks[at], effect)), None)
            if cause_at is not None:
                links.append((cause_at, effect_at))
                break
        positions.setdefault(effect.shape, []).append(effect_at)
    return links
