"""What a run still waits for: whether it is at rest, and if not, the first order that is stuck.

At rest, customers have their answers, the outbox is empty, every service is done with every event
that concerns it, nothing lies in a queue, a delay queue or a hold, no lock is without an end, no
refund is owed, no delivery is out. Parties that the plan leaves dead are not waited for. Read from
files and from what was heard alone, so that nobody who is looked at notices.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from sim.history import Answered, Sent, commands
from sim.judges.evidence import SERVICES, rows
from sim.judges.rest import ENDS
from sim.judges.words import CONSUMED_BY
from sim.seed import EPOCH_S
from sim.verdict import journal_of, ledgers_of
from sim.watch import frames
from sim.world import SimulatedWorld

_EVENTS = "SELECT event_id, stream, type FROM events ORDER BY position"
_OUTBOX = "SELECT key, routing_key FROM outbox ORDER BY position"
_LIST = "SELECT order_id, number, refund_due FROM order_list ORDER BY number"
_INBOX = "SELECT message_id, state, attempt, updated_at_ms FROM inbox"
_HOLDS = "SELECT message_id, due_at_ms FROM holds"
_MESSAGES = (
    "SELECT name, header, expires_at_ms FROM message JOIN queue ON queue.number = message.queue"
    " ORDER BY position"
)


class Place(msgspec.Struct, frozen=True):
    """Where a message lies: in a queue, until a time if it is to come back by itself then."""

    queue: str
    until_s: float | None

    def __str__(self) -> str:
        until = "" if self.until_s is None else f" until {self.until_s:.1f} s"
        return f"lies in {self.queue}{until}"


class Remains:
    """What the files of a world say at one moment. ``dead`` parties are not waited for.

    Each file is read when it is asked for: most often the first one says that something is left.
    """

    def __init__(self, world: SimulatedWorld, dead: Sequence[str]) -> None:
        self.dead = dead
        self._world = world
        self._ledgers = ledgers_of(world)
        self._log = self._ledgers.order_events / "orders.db"

    @cached_property
    def outbox(self) -> list[tuple[str, str]]:
        """What waits to be published: the order, and the routing key."""
        return rows(self._log, _OUTBOX)

    @cached_property
    def events(self) -> list[tuple[str, str, str]]:
        """The log: each event's id, its order, and its type."""
        return rows(self._log, _EVENTS)

    @cached_property
    def orders(self) -> list[tuple[str, int, int]]:
        """The order list: ids, numbers, and whether a refund is due."""
        return rows(self._log, _LIST)

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """Where the broker keeps each message."""
        return _places(journal_of(self._world))

    @cached_property
    def holds(self) -> dict[str, dict[str, float]]:
        """By service, until when it holds which message."""
        return {
            name: {one: _seconds(due_ms) for one, due_ms in rows(self._ledgers.of(name), _HOLDS)}
            for name in ("payment", "shipping")
        }

    def states(self, service: str) -> dict[str, str]:
        """Return how a service stands with each message."""
        return {**_forgotten(self._world, service), **_states(self._ledgers.of(service))}

    def reasons(self) -> Iterator[tuple[str, str]]:
        """Yield each thing that is not done: the order (or ""), and what it waits for."""
        broker_lives = "broker" not in self.dead
        if broker_lives and "order-events" not in self.dead:
            for order_id, routing_key in self.outbox:
                yield order_id, f"{routing_key} waits in the outbox"
        if broker_lives:
            for service in SERVICES:
                if service not in self.dead:
                    yield from self._undone(service)
        if broker_lives and not {"payment", "shipping"} & set(self.dead):
            yield from self._unended()
        out = 0 if self.dead else self._world.witness.broker.unacked()
        if out:  # somebody looks at parked messages, say
            yield "", f"{out} deliveries wait for their acks"
        if not {"gateway", "order-events"} & set(self.dead):
            yield from self._unseen()

    def _unseen(self) -> Iterator[tuple[str, str]]:
        versions = Counter(order_id for _, order_id, _ in self.events)
        for one in self._world.witness.watching():
            there = versions[one.order_id]
            if one.version < there:
                yield one.order_id, f"{one.name} has seen {one.version} of {there} events"

    def _undone(self, service: str) -> Iterator[tuple[str, str]]:
        meant = {one: order for one, order, kind in self.events if kind in CONSUMED_BY[service]}
        kinds = {one: kind for one, _, kind in self.events}
        states = self.states(service)
        for message_id, order_id in meant.items():
            state = states.get(message_id)
            place = self._place(service, message_id)
            if state is None or not (state.startswith("done") or place == f"{service}.dead"):
                said = state or "not seen"
                yield order_id, f"{service}: {kinds[message_id]} is {said}{place and ', '}{place}"
        for message_id, places in self.places.items():
            for place_ in places:
                queue = place_.queue
                if queue.partition(".")[0] == service and not queue.endswith(".dead"):
                    yield meant.get(message_id, ""), f"{message_id} {place_}"

    def _place(self, service: str, message_id: str) -> str:
        due_s = self.holds.get(service, {}).get(message_id)
        if due_s is not None:
            return f"held until {due_s:.1f} s"
        places = self.places.get(message_id, [])
        if any(one.queue == f"{service}.dead" for one in places):
            return f"{service}.dead"
        return ", ".join(str(one) for one in places if one.queue.partition(".")[0] == service)

    def _unended(self) -> Iterator[tuple[str, str]]:
        happened: dict[str, set[str]] = {}
        for event_id, order_id, kind in self.events:
            happened.setdefault(order_id, set()).add(kind)
            if self._place("payment", event_id) == "payment.dead":
                happened[order_id].add("parked")
        for order_id, _, refund_due in self.orders:
            types = happened.get(order_id, set())
            for lock, ends in ENDS.items():
                if lock in types and not types & (ends | {"parked"}):
                    yield order_id, f"holds {lock}"
            if refund_due:
                yield order_id, "its refund is owed"


def at_rest(world: SimulatedWorld, dead: Sequence[str]) -> bool:
    """Whether nothing is left to do, nothing on its way to an outside party, and nobody away."""
    asked = any(remote.busy for remote in world.outside.remotes.values())
    out = not dead and world.witness.broker.unacked()
    if asked or out or _away(world, dead) or not _answered(world, dead):
        return False  # before any file is read
    return next(Remains(world, dead).reasons(), None) is None


def _away(world: SimulatedWorld, dead: Sequence[str]) -> list[str]:
    """Return the nodes that do not serve, though nobody has left them for dead.

    They are down, or starting, as a whole or in part, or wait for a disk that has stalled.
    """
    return [
        name
        for name, node in world.nodes.items()
        if name not in dead
        if not node.up
        or (name not in world.outside.nodes and world.witness.life(name).ready_at is None)
        or node.storage.waits_until_s > world.engine.now
        or world.witness.starting(name)
    ]


def _answered(world: SimulatedWorld, dead: Sequence[str]) -> bool:
    """Whether customers have done what they can: all of it, where nobody is dead.

    Somebody who asks for what a dead service has to do asks for ever.
    """
    if not dead:
        return not world.shop.open
    if {"gateway", "order-events"} & set(dead):
        return True
    if "shipping" not in dead:
        return not world.shop.open
    asking = [
        command.name.partition("-")[0]
        for command in commands(world.shop.history)
        if command.kind == "ship" and command.open
    ]
    return not set(world.shop.open) - set(asking)


def first_blocked(world: SimulatedWorld, dead: Sequence[str]) -> str:
    """Name the first order that is not done and all that it waits for, or who else waits."""
    remains = Remains(world, dead)
    found: dict[str, list[str]] = {}
    for order_id, reason in remains.reasons():
        found.setdefault(order_id, []).append(reason)
    missing = _away(world, dead)
    away = f"; down: {', '.join(missing)}" if missing else ""
    for order_id, number, _ in remains.orders:
        if order_id in found:
            return f"order {number} ({order_id}): {'; '.join(found[order_id])}{away}"
    if found:
        order_id, reasons = next(iter(found.items()))
        return f"{order_id or 'no order'}: {'; '.join(reasons)}{away}"
    return f"{_unanswered(world)}{away}"


def _unanswered(world: SimulatedWorld) -> str:
    """Say which customer waits, and how his latest request ended."""
    if not world.shop.open:
        return "nothing is left to do"
    name = next(iter(world.shop.open))
    mine = [one for one in world.shop.history if one.command.startswith(f"{name}-")]
    sent = [one for one in mine if isinstance(one, Sent)]
    if not sent:
        return f"customer {name} has not come yet"
    tries = sum(one.command == sent[-1].command for one in sent)
    answers = [one.status for one in mine if isinstance(one, Answered)]
    waits = f"sent {sent[-1].command} {tries} times, latest answers {answers[-3:]}"
    return f"customer {name} of {sent[-1].order_id or 'no order yet'} {waits}"


def _forgotten(world: SimulatedWorld, service: str) -> dict[str, str]:
    """Return what a service was done with, if it may have forgotten that by now."""
    if world.settings.dedup.retention_s > world.engine.now:
        return {}
    return {
        str(one.where.get("message_id", "")): "done"
        for one in world.witness.commits
        if one.table == "inbox" and one.values.get("state") == "done"
        if one.database == f"{service}.db"
    }


def _states(path: Path) -> dict[str, str]:
    found = {}
    for message_id, state, tries, at_ms in rows(path, _INBOX):
        since = f" since {_seconds(at_ms):.1f} s (attempt {tries})"
        found[message_id] = state if state == "done" else state + since
    return found


def _places(journal: Path) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for queue, header, expires_at_ms in rows(journal, _MESSAGES):
        message_id = frames.message_id(header)
        until_s = None if expires_at_ms is None else _seconds(expires_at_ms)
        found.setdefault(message_id, []).append(Place(queue, until_s))
    return found


def _seconds(at_ms: int) -> float:
    return at_ms / 1000 - EPOCH_S
