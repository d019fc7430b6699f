"""Where an order stands from the inside: what became of each event, and what it waits for.

Pure functions of what the log, the services' inboxes and their parked messages say.
"""

from collections.abc import Mapping, Sequence

import msgspec

from actors.dead_letters import StatesReply
from actors.domain.events import Event
from actors.domain.order import Order
from actors.domain.rules import PAYMENT_LOCK, SHIPPING_LOCK, allowed_actions
from actors.durations import duration
from actors.gateway.console.backstage import Asked
from actors.gateway.console.letters import Parked
from actors.gateway.console.troubles import letter_path, why
from actors.gateway.pages.story import LABELS
from runtime.amqp.dead_letters import DeadLetter

States = Mapping[str, Asked[StatesReply]]
"""By queue: what the inbox knows of an order's events."""

SOON_S = 10.0
WORDS: dict[str, tuple[str, str]] = {
    "done": ("good", "done"),
    "parked": ("bad", "parked"),
    "held": ("wait", "held back until its time"),
    "requeued": ("warn", "failed, will be tried again"),
    "claimed": ("wait", "in work"),
    "missing": ("wait", "not there yet"),
    "unknown": ("warn", "unknown"),
}


class Consumed(msgspec.Struct, frozen=True):
    """What one service made of one event: a tone, a word, and where to look if it is parked.

    ``attempts`` were begun, ``duplicates`` of it discarded.
    """

    queue: str
    tone: str
    word: str
    path: str = ""
    attempts: int = 0
    duplicates: int = 0

    @property
    def counted(self) -> str:
        """What there is to say of how often it came and was tried; empty where once was enough."""
        said: list[str] = []
        if self.attempts > 1 or (self.attempts and self.tone in ("warn", "bad")):
            said.append("1 attempt" if self.attempts == 1 else f"{self.attempts} attempts")
        if self.duplicates:
            some = "1 duplicate" if self.duplicates == 1 else f"{self.duplicates} duplicates"
            said.append(f"{some} discarded")
        return ", ".join(said)


class Finding(msgspec.Struct, frozen=True):
    """Something that an order waits for."""

    what: str
    cause: str
    path: str = ""
    go: str = ""


class Lock(msgspec.Struct, frozen=True):
    """Something that can no longer be changed, and the event that has locked it."""

    what: str
    event_type: str
    version: int
    at_ms: int
    open: bool


def consumed(
    event: Event, subscriptions: Mapping[str, Sequence[str]], states: States, letters: Parked
) -> list[Consumed]:
    """Return what each service that is meant to get the event has made of it."""
    return [
        _consumed(event, queue, states.get(queue), _parked(letters, queue, event.id))
        for queue, types in subscriptions.items()
        if event.type.name in types
    ]


def _consumed(
    event: Event, queue: str, asked: Asked[StatesReply] | None, letter: DeadLetter | None
) -> Consumed:
    if asked is None or asked.answer is None:
        return Consumed(queue, *WORDS["unknown"])
    told = asked.answer
    tone, word = WORDS[told.states.get(event.id, "missing")]
    path = "" if letter is None else letter_path(letter)
    counts = told.attempts.get(event.id, 0), told.duplicates.get(event.id, 0)
    return Consumed(queue, tone, word, path, *counts)


def _parked(letters: Parked, queue: str, event_id: str) -> DeadLetter | None:
    asked = letters.get(queue)
    rows = [] if asked is None else asked.answer or []
    return next((row for row in rows if row.id == event_id), None)


def locks(order: Order) -> list[Lock]:
    """Return what can no longer be changed since which event; *open*: its work is under way."""
    found: list[Lock] = []
    refused = allowed_actions(order)
    for lock, ends in (
        (PAYMENT_LOCK, ("payment-captured", "payment-auth-failed")),
        (SHIPPING_LOCK, ("shipping-prepared",)),
    ):
        happening = order.happened.get(lock)
        if happening is None:
            continue
        what = [
            LABELS[name].lower()
            for name, state in refused.items()
            if state.get("since") == happening.event_id
        ]
        named = ", ".join(what)
        is_open = not any(order.has(end) for end in ends)
        found.append(Lock(named, lock, happening.version, happening.at_ms, is_open))
    return found


def findings(
    order: Order,
    events: Sequence[Event],
    subscriptions: Mapping[str, Sequence[str]],
    states: States,
    letters: Parked,
    now_ms: int,
) -> list[Finding]:
    """Return what the order waits for, or why that cannot be told; the worst first."""
    found = [
        Finding(
            f"{queue} has parked {event.type.name}{_holding(order, queue)}",
            why(letter),
            letter_path(letter),
            "Dead letter",
        )
        for event in events
        for queue in subscriptions
        if (letter := _parked(letters, queue, event.id)) is not None
    ]
    found += [
        Finding(f"{queue} cannot be asked", asked.trouble, "/ops/topology", "Topology")
        for queue, asked in states.items()
        if asked.answer is None
    ]
    if order.settled:
        return found
    for event in events:
        age_s = (now_ms - event.recorded_at_ms) / 1000
        for row in consumed(event, subscriptions, states, letters):
            late = row.word == WORDS["missing"][1] and age_s > SOON_S
            if late or row.word in (WORDS["requeued"][1], WORDS["held"][1]):
                cause = f"{event.type.name} (v{event.version}): {row.word}, {duration(age_s)} old"
                path = "/ops/outbox" if late else ""
                go = "Outbox" if late else ""
                found.append(Finding(f"{row.queue} is still to act", cause, path, go))
    return found


def _holding(order: Order, queue: str) -> str:
    """Say which lock the service has taken and not let go of."""
    held = {"payment": PAYMENT_LOCK, "shipping": SHIPPING_LOCK}.get(queue)
    open_locks = [lock for lock in locks(order) if lock.open and lock.event_type == held]
    return f", and holds the {queue} lock since v{open_locks[0].version}" if open_locks else ""
