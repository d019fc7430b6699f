"""A look into what waits: of each thing its type, its lane and its age, never what it holds.

Looking takes nothing out, and costs nothing until somebody looks. Types and keys come from outside
where a message is malformed, so they are made safe to print.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import msgspec

from runtime.actor import ActorRef
from runtime.errands import Errand
from runtime.hold import Holds
from runtime.host import Clock
from runtime.jobs import Job, Told
from runtime.lanes import Lanes
from runtime.message import Message
from runtime.redaction import printable
from runtime.stored import message_of

WAITING_SHOWN = 20
State = Literal["in work", "waiting", "held"]
T = TypeVar("T")


class Waiting(msgspec.Struct, frozen=True):
    """One thing that waits, or is being worked on; ``lane`` is its key, empty where it has none.

    ``age_s`` counts from when it was asked for, or its message was made; None if nobody knows.
    """

    type: str
    lane: str
    state: State
    age_s: float | None


Peek = Callable[[], Awaitable[list[Waiting]]]
"""Returns what waits in one place, `WAITING_SHOWN` at most, the next one first."""


def in_mailbox(
    ref: ActorRef[T], describe: Callable[[T], tuple[str, str]], deadline_s: float
) -> list[Waiting]:
    """Look into an actor's mailbox; ``describe`` returns the type and the lane of a message.

    ``deadline_s`` is how long those who ask it wait: their age is what is gone of that.
    """
    rows: list[Waiting] = []
    for message, left_s in ref.peek(WAITING_SHOWN):
        type_, lane = describe(message)
        age_s = None if left_s is None else round(max(0.0, deadline_s - left_s), 2)
        rows.append(Waiting(type_, lane, "waiting", age_s))
    return rows


def in_lanes(lanes: Lanes[Job | Told], clock: Clock) -> list[Waiting]:
    """Look into a service's lanes: what is being worked on first."""
    now_s = clock.wall()
    rows: list[Waiting] = []
    for item, at_work in lanes.peek(WAITING_SHOWN):
        state: State = "in work" if at_work else "waiting"
        if isinstance(item, Job):
            rows.append(_message(item.message, item.key, state, now_s))
        else:
            rows.append(Waiting("work of its own", printable(item.key), state, None))
    return rows


async def in_hold(holds: Holds, key: Callable[[Message], str], clock: Clock) -> list[Waiting]:
    """Look at what a service holds, what is due first."""
    held = await holds.peek(WAITING_SHOWN)
    now_s = clock.wall()
    return [_message(message, key(message), "held", now_s) for message in held]


def in_outbox(connection: sqlite3.Connection, now_s: float) -> list[Waiting]:
    """Look into the outbox, the oldest row first."""
    rows = connection.execute(
        "SELECT key, properties, body FROM outbox ORDER BY position LIMIT ?", (WAITING_SHOWN,)
    )
    return [_message(message_of(row[1], row[2]), row[0], "waiting", now_s) for row in rows]


def errand_in_short(errand: Errand) -> tuple[str, str]:
    """Return what an operator wants done; where nothing is changed, that is a look."""
    return ("look" if errand.deed is None else errand.deed.action), ""


def _message(message: Message, key: str, state: State, now_s: float) -> Waiting:
    age_s = max(0.0, round(now_s - message.timestamp, 2))
    return Waiting(printable(message.type), printable(key), state, age_s)
