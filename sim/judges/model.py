"""One order as the specification has it, without faults: a small model, and what it allows.

The model knows nothing of messages, attempts or crashes. Its state says what became of the order;
customers' commands and the services' own steps lead from state to state. What a run has ended in
must be an end that the model can reach when the same commands come in *some* order that no client
could tell from the one it saw: a command that was answered before another was sent comes before it.
(Herlihy and Wing's linearizability, searched as Wing and Gong did.)
"""

import math
from collections.abc import Iterator

import msgspec

from sim.history import Command
from sim.judges.evidence import EventRow, Evidence, Json
from sim.judges.words import DECLINES

STATES_MAX = 20_000


class State(msgspec.Struct, frozen=True):
    """What became of an order. ``card`` and ``address`` are the marks of who chose them last;
    ``charged`` and ``sent_to`` are those that count since payment, or shipping, began.
    """

    cancelled: bool = False
    payment: str = ""
    refunded: bool = False
    shipping: str = ""
    card: str = ""
    charged: str = ""
    address: str = "place"
    sent_to: str = ""
    shipped: str = ""


class Intent(msgspec.Struct, frozen=True):
    """A command with its answer: whether it was accepted, and when it was sent and answered.

    ``accepted`` is None where its client was never told: it was carried out once, or not at all.
    """

    kind: str
    mark: str
    accepted: bool | None
    sent_at: float
    answered_at: float


def every_end_is_one_that_the_model_allows(evidence: Evidence) -> Iterator[str | None]:
    """Each order ended as it could have without faults, by the commands that were accepted."""
    asked: dict[str, list[Intent]] = {}
    for command in evidence.commands:
        if command.kind != "place" and not command.reuses:
            asked.setdefault(command.order_id, []).append(intent_of(command))
    for order_id, events in evidence.streams.items():
        end = _end_of(evidence, events)
        intents = asked.get(order_id, [])
        card = evidence.vault[events[0].data["payment"]["ref"]]
        if not reaches(State(card=card), intents, end):
            words = {True: "yes", False: "no", None: "unknown"}
            done = [f"{one.kind} {words[one.accepted]}" for one in intents]
            yield f"{order_id}: {end} cannot come of {done}"
        else:
            yield None


def intent_of(command: Command) -> Intent:
    """Return what the model is to know of a command."""
    mark = command.mark if command.kind != "pay" else str(command.body["token"])
    if not command.definite:
        return Intent(command.kind, mark, None, command.sent_at, math.inf)
    # Who is told "not yet", and asks again without a key, is told yes later.
    told = command.accepted or command.definite[0]
    return Intent(command.kind, mark, command.accepted is not None, command.sent_at, told.at)


def reaches(start: State, intents: list[Intent], end: State) -> bool:
    """Whether ``end`` is reached with every command done, and nothing left for services to do."""
    begin = start, frozenset(range(len(intents)))
    seen, waiting = {begin}, [begin]
    while waiting and len(seen) < STATES_MAX:
        state, open_ = waiting.pop()
        if not open_ and state == end:
            return True
        steps = [(after, open_) for after in _services(state)]
        for number in open_:
            if intents[number].accepted is None:
                steps.append((state, open_ - {number}))
            after = _command(state, intents[number])
            if after is not None and _may_be_next(intents, open_, number):
                steps.append((after, open_ - {number}))
        new = [step for step in steps if step not in seen]
        seen.update(new)
        waiting += new
    return False


def _may_be_next(intents: list[Intent], open_: frozenset[int], number: int) -> bool:
    """Whether no other open command was answered before this one was sent."""
    sent_at = intents[number].sent_at
    return all(other == number or intents[other].answered_at >= sent_at for other in open_)


def _command(state: State, intent: Intent) -> State | None:
    """Return what a command makes of the order; None where it would have been answered otherwise.

    A repeated ship is accepted as it was; every other command may be refused after its lock only.
    """
    change = msgspec.structs.replace
    match intent.kind:
        case "pay":
            allowed = not state.cancelled and not state.payment
            after = change(state, card=intent.mark)
        case "move":
            allowed = not state.cancelled and not state.shipping
            after = change(state, address=intent.mark)
        case "cancel":
            allowed = not state.cancelled and not state.shipping
            after = change(state, cancelled=True)
        case _:
            again = state.shipped == intent.mark
            allowed = again or (state.shipping == "prepared" and not state.shipped)
            after = change(state, shipped=intent.mark)
    if allowed != (intent.accepted is not False):
        return None
    return after if allowed else state


def _services(state: State) -> Iterator[State]:
    """Yield what the services may do next."""
    change = msgspec.structs.replace
    if not state.payment and not state.cancelled:
        yield change(state, payment="begun", charged=state.card)
    if state.payment == "begun":
        reason = DECLINES.get(state.charged)
        yield change(state, payment=reason or "captured")
        if state.cancelled:
            yield change(state, payment="order-cancelled")
    if state.payment == "captured":
        if state.cancelled and not state.refunded:
            yield change(state, refunded=True)
        elif not state.cancelled and not state.shipping:
            yield change(state, shipping="begun", sent_to=state.address)
    if state.shipping == "begun":
        yield change(state, shipping="prepared")


def _end_of(evidence: Evidence, events: list[EventRow]) -> State:
    """Read the end of an order: from the outsiders' books, and from the log where they say nothing.

    A card that is declined is in nobody's books; an address that was never used neither.
    """
    order_id = events[0].order_id
    types = {event.type: event for event in events}
    moves = {one.kind: one for one in evidence.operations if one.order_id == order_id}
    parcels = [one for one in evidence.parcels if one.order_id == order_id]
    cards = [event for event in events if "payment" in event.data]
    places = [event for event in events if "address_ref" in event.data]
    lock = types.get("payment-auth-in-progress")
    failed = types.get("payment-auth-failed")
    payment = "captured" if "capture" in moves else failed.data["reason"] if failed else ""
    charged = moves["authorise"].token if "authorise" in moves else _card(evidence, cards, lock)
    packing = types.get("shipping-preparation-in-progress")
    first = evidence.addresses[places[0].data["address_ref"]]
    sent_to = parcels[0].address if parcels else _place(evidence, places, packing)
    return State(
        cancelled="order-cancelled" in types,
        payment=payment or ("begun" if lock else ""),
        refunded="refund" in moves,
        shipping="prepared" if parcels else "begun" if packing else "",
        card=evidence.vault[cards[-1].data["payment"]["ref"]],
        charged=charged,
        address=_mark(evidence.addresses[places[-1].data["address_ref"]], first),
        sent_to=_mark(sent_to, first) if sent_to else "",
        shipped=types["shipped"].data["tracking"] if "shipped" in types else "",
    )


def _card(evidence: Evidence, cards: list[EventRow], lock: EventRow | None) -> str:
    chosen = [one for one in cards if lock is not None and one.version < lock.version]
    return evidence.vault[chosen[-1].data["payment"]["ref"]] if chosen else ""


def _place(evidence: Evidence, places: list[EventRow], lock: EventRow | None) -> Json:
    chosen = [one for one in places if lock is not None and one.version < lock.version]
    return evidence.addresses[chosen[-1].data["address_ref"]] if chosen else {}


def _mark(address: Json, first: Json) -> str:
    return "place" if address == first else str(address["line1"])
