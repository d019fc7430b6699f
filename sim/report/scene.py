"""A run as a picture's data: lanes, and marks on them. Nothing here knows how it is drawn.

A mark is an instant (``until`` is None and it is not ``torn``) or a bar. A bar is ``torn`` where
nobody knows its end: the process died, or the run ended first. Times are virtual seconds.
"""

from typing import Literal

import msgspec

Tone = Literal["plain", "good", "bad", "fault"]
Shape = Literal[
    "event", "publish", "deliver", "again", "mail", "log", "crash", "start", "strike", "flag",
    "request", "watch", "row", "work", "call", "outage",
]  # fmt: skip
LANES = (
    "client", "order-events", "outbox", "broker", "payment", "shipping", "notification",
    "provider", "carrier", "mailer", "faults",
)  # fmt: skip


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened. ``label`` is a word or two, ``text`` a sentence.

    ``order`` is the number of the plan's order, 0 where it is nobody's. ``thread`` is a message's
    id; ``by`` the lane of who did it, ``to`` that of who it was meant for, where another lane than
    its own. ``count`` marks may be folded into one. ``story``: worth a line in its order's story.
    """

    lane: str
    shape: Shape
    at: float
    step: int
    label: str
    text: str
    tone: Tone = "plain"
    order: int = 0
    until: float | None = None
    torn: bool = False
    thread: str = ""
    by: str = ""
    to: str = ""
    count: int = 1
    story: bool = True

    @property
    def is_bar(self) -> bool:
        """Whether it takes time."""
        return self.until is not None


class Down(msgspec.Struct, frozen=True):
    """A node has no process, or a frozen one, from ``at`` on. ``until`` is None: to the end."""

    node: str
    lanes: tuple[str, ...]
    at: float
    until: float | None
    why: str


class Phase(msgspec.Struct, frozen=True):
    """A phase of the run begins."""

    name: str
    at: float
    step: int


class OrderLine(msgspec.Struct, frozen=True):
    """One order of the plan, and the events that it ended with, in the order of its versions."""

    number: int
    id: str
    events: tuple[str, ...]


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run. ``events`` counts the trace; ``folded`` says what is not drawn one by one.

    ``links`` go from causes to effects, as numbers of marks.
    """

    lanes: tuple[str, ...]
    marks: list[Mark]
    links: list[tuple[int, int]]
    downs: list[Down]
    phases: list[Phase]
    orders: list[OrderLine]
    end_s: float
    events: int
    focus_step: int
    focus_s: float
    focus_order: int
    folded: str = ""
