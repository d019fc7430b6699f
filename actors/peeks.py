"""What can be looked into, in each service: its mailbox, its lanes, its hold, its outbox, its desk.

A place is named by its last two names in the tree, because a supervisor and a child of it may have
the same name.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from actors.domain.events import TYPE_OF_BODY
from actors.order_events.deciding import Append, Execute, Request
from actors.order_events.parts import OrderEventsParts
from actors.shipping.assembly import Shipping
from actors.shipping.shipments import DEADLINE_S, Ship
from runtime.actor import ActorRef, Envelope
from runtime.errands import ANSWER_S_MAX, Errands
from runtime.host import Clock
from runtime.jobs import Job
from runtime.message import Message
from runtime.redaction import printable
from runtime.service import MessageService
from runtime.waiting import (
    WAITING_SHOWN,
    Peek,
    Waiting,
    errand_in_short,
    in_hold,
    in_lanes,
    in_mailbox,
    in_outbox,
)

T = TypeVar("T")


def peeks_of(
    store: OrderEventsParts | None,
    shipping: Shipping | None,
    services: Iterable[MessageService],
    clock: Clock,
) -> dict[str, Peek]:
    """Return what can be looked into in a process, by the last two names of the place."""
    found: dict[str, Peek] = {} if store is None else _in_store(store, clock)
    if shipping is not None:
        found["shipping/shipping-desk"] = _in_batches(
            shipping.desk, shipping.at_work, shipment_in_short, DEADLINE_S
        )
    for service in services:
        found.update(_in_service(service, clock))
    return found


def _in_batches(
    ref: ActorRef[T],
    at_work: Callable[[], Sequence[Envelope[T]]],
    describe: Callable[[T], tuple[str, str]],
    deadline_s: float,
) -> Peek:
    """Return a look at an actor that takes batches: the one at work first, then its mailbox."""

    async def look() -> list[Waiting]:
        rows: list[Waiting] = []
        for envelope in at_work()[:WAITING_SHOWN]:
            left_s = None if ref.deadlines is None else ref.deadlines.left_s(envelope)
            age_s = None if left_s is None else round(max(0.0, deadline_s - left_s), 2)
            rows.append(Waiting(*describe(envelope.message), "in work", age_s))
        return [*rows, *in_mailbox(ref, describe, deadline_s)][:WAITING_SHOWN]

    return look


def _in_store(parts: OrderEventsParts, clock: Clock) -> dict[str, Peek]:
    async def outbox() -> list[Waiting]:
        now_s = clock.wall()
        return await parts.database.read(lambda connection: in_outbox(connection, now_s))

    return {
        "order-events/order-events": _in_batches(
            parts.ref, parts.at_work, request_in_short, parts.deadline_s
        ),
        "order-events/outbox-relay": outbox,
        "order-events/operator-order-events": _desk(parts.errands),
    }


def _in_service(service: MessageService, clock: Clock) -> dict[str, Peek]:
    queue, above = service.queue, f"messages-{service.queue}"

    async def lanes() -> list[Waiting]:
        return in_lanes(service.lanes, clock)

    def key(message: Message) -> str:
        job: Job = service.routes.job(message, None)
        return job.key

    return {
        f"{above}/lanes-{queue}": lanes,
        f"{above}/hold-{queue}": partial(in_hold, service.holds, key, clock),
        f"{above}/operator-{queue}": _desk(service.errands),
    }


def request_in_short(request: Request) -> tuple[str, str]:
    """Return what is asked of the writer, and of which order."""
    if isinstance(request, Append):
        return TYPE_OF_BODY[type(request.body)].name, printable(request.order_id)
    if isinstance(request, Execute):
        command = request.command
        return str(command.__struct_config__.tag), printable(getattr(command, "order_id", ""))
    return "an answer of before", ""


def shipment_in_short(ship: Ship) -> tuple[str, str]:
    """Return what is stated of which order."""
    return "shipped", printable(ship.order_id)


def _desk(errands: Errands) -> Peek:
    async def look() -> list[Waiting]:
        return in_mailbox(errands.ref, errand_in_short, ANSWER_S_MAX)

    return look
