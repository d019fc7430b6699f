"""Customers' commands and services' events: what is looked up first, what is refused, what follows.

Each request is one work of one group commit: it sees what the works before it have staged, and its
answer, a refusal too, is given after the commit. The order of questions is the law here: who asks,
was it asked before, does the order stand where the asker thinks, does the guard allow it - and
nothing is written before the last one is answered.
"""

import sqlite3
from functools import partial

import msgspec

from actors.domain import rules
from actors.domain.events import (
    PAYMENT_SERVICE,
    SHIPPING_SERVICE,
    TYPE_OF_BODY,
    Body,
    Event,
    OrderCancelled,
    OrderCreated,
    PaymentUpdated,
    Shipped,
    ShippingAddressUpdated,
    encode_body,
)
from actors.domain.order import Order
from actors.domain.order_events import (
    CancelOrder,
    Command,
    Intent,
    Personal,
    PersonalKind,
    PlaceOrder,
    Receipt,
    Recorded,
    Service,
    UpdatePayment,
    UpdateShippingAddress,
    payment_method,
)
from actors.domain.values import total_of
from actors.order_events import idempotency, vault
from actors.order_events.appending import Log, Origin
from actors.order_events.latest import Kept
from actors.order_events.stream import event_from, order_at
from runtime import event_store
from runtime.errors import Rejection, Unprocessable
from runtime.transaction import Transaction

# Which service may state what: a stolen payment token cannot ship an order, nor place one.
APPENDS_AS: dict[Service, str] = {"payment": PAYMENT_SERVICE, "shipping": SHIPPING_SERVICE}
COMMANDERS: tuple[Service, ...] = ("gateway",)

_command: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class Execute(msgspec.Struct, frozen=True):
    """A customer's command, by way of ``service``."""

    service: Service
    command: Command
    intent: Intent


class Replay(msgspec.Struct, frozen=True):
    """What was a customer's command under this key answered, if it was?

    It waits in line with the commands, since one of them may be the first with this key.
    """

    service: Service
    intent: Intent


class Append(msgspec.Struct, frozen=True, gc=False):
    """A service's event. ``id`` is derived from what it states, so a repetition is recognised."""

    service: Service
    order_id: str
    id: str
    body: Body
    correlation_id: str
    expected_version: int | None = None
    traceparent: str | None = None
    tracestate: str | None = None


Request = Execute | Replay | Append


class Fresh(msgspec.Struct, frozen=True, gc=False):
    """The time, and a command's ids, drawn before the request goes to the database's thread."""

    at_ms: int
    order_id: str = ""
    event_id: str = ""
    payment_ref: str = ""
    customer_ref: str = ""
    address_ref: str = ""


class Decision(msgspec.Struct, frozen=True):
    """The answer to a request, and the event that was appended for it, if any."""

    answer: Receipt | Recorded | Rejection | None
    appended: Event | None = None


def decide(log: Log, request: Request, fresh: Fresh, tx: Transaction) -> Decision:
    """Carry out one request inside its transaction, or raise: then nothing of it is kept."""
    match request:
        case Execute():
            return _execute(log, request, fresh, tx)
        case Replay():
            return Decision(_remembered(log, request, tx))
        case Append():
            return _append(log, request, fresh, tx)


# Customers' commands


def _execute(log: Log, request: Execute, fresh: Fresh, tx: Transaction) -> Decision:
    remembered = _remembered(log, request, tx)
    if remembered is not None:
        return Decision(remembered)
    intent = request.intent
    command = _checked(request.command)
    if isinstance(command, PlaceOrder):
        order_id, before = fresh.order_id, None
    else:
        order_id = command.order_id
        before = log.folds.order(tx, order_id)
    try:
        _expect(before, intent.expected_version)
        rules.decide(before, _body(command, fresh, number=0))
    except Rejection as refusal:
        return _refused(tx, intent, order_id, refusal, fresh.at_ms)
    event, order = _carry_out(log, tx, before, command, intent, fresh)
    accepted = idempotency.Accepted(order.id, order.version)
    idempotency.remember(tx, intent, order_id, accepted, fresh.at_ms)
    return Decision(Receipt(order, replayed=False), event)


def _remembered(log: Log, request: Execute | Replay, tx: Transaction) -> Receipt | Rejection | None:
    if request.service not in COMMANDERS:
        raise _forbidden(f"The {request.service} service may not act for a customer.")
    outcome = idempotency.find(tx, request.intent)
    if isinstance(outcome, idempotency.Accepted):
        return Receipt(_order_then(log, tx, outcome), replayed=True)
    return None if outcome is None else outcome.rejection()


def _carry_out(
    log: Log,
    tx: Transaction,
    before: Order | None,
    command: Command,
    intent: Intent,
    fresh: Fresh,
) -> tuple[Event, Order]:
    number = log.next_number(tx) if isinstance(command, PlaceOrder) else 0
    body = _body(command, fresh, number)
    order_id = fresh.order_id if before is None else before.id
    _fill_vault(log, tx, order_id, command, fresh)
    origin = Origin(
        correlation_id=intent.correlation_id,
        at_ms=fresh.at_ms,
        traceparent=intent.traceparent,
        tracestate=intent.tracestate,
    )
    row = TYPE_OF_BODY[type(body)]
    try:
        return log.append(tx, before, order_id, fresh.event_id, body, row, origin)
    except Unprocessable as error:
        raise _invalid() from error


def _body(command: Command, fresh: Fresh, number: int) -> Body:
    match command:
        case PlaceOrder(items=items, payment=payment):
            method = payment_method(fresh.payment_ref, payment)
            total = total_of(items)
            return OrderCreated(number, items, total, method, fresh.customer_ref, fresh.address_ref)
        case UpdatePayment(payment=payment):
            return PaymentUpdated(payment_method(fresh.payment_ref, payment))
        case UpdateShippingAddress():
            return ShippingAddressUpdated(fresh.address_ref)
        case CancelOrder(by=by, reason=reason):
            return OrderCancelled(by, reason)


def _fill_vault(log: Log, tx: Transaction, order_id: str, command: Command, fresh: Fresh) -> None:
    def keep(ref: str, kind: PersonalKind, personal: Personal) -> None:
        vault.keep(tx, order_id, ref, kind, personal)
        tx.on_commit(partial(log.on_kept, order_id, ref, Kept(kind, personal)))

    if isinstance(command, PlaceOrder):
        keep(fresh.customer_ref, "customer", Personal(customer=command.customer))
    if isinstance(command, PlaceOrder | UpdateShippingAddress):
        keep(fresh.address_ref, "address", Personal(address=command.shipping_address))
    if isinstance(command, PlaceOrder | UpdatePayment):
        keep(fresh.payment_ref, "payment", Personal(payment_token=command.payment.token))


def _checked(command: Command) -> Command:
    """Return the command as its reader sees it: a struct made in code has not been checked."""
    try:
        return _command.decode(msgspec.json.encode(command))
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise _invalid() from error


def _order_then(log: Log, tx: Transaction, outcome: idempotency.Accepted) -> Order:
    order = log.folds.order(tx, outcome.order_id)
    assert order is not None, "an accepted command left an order"
    if order.version == outcome.version:
        return order
    return order_at(tx.connection, outcome.order_id, at_version=outcome.version)


def _refused(
    tx: Transaction, intent: Intent, order_id: str, refusal: Rejection, at_ms: int
) -> Decision:
    if refusal.code == "not-found":  # there is no order that the record could belong to
        raise refusal
    idempotency.remember(tx, intent, order_id, refusal, at_ms)
    return Decision(refusal.with_traceback(None))  # whose frames would hold the whole group


def _expect(order: Order | None, expected_version: int | None) -> None:
    if order is None or expected_version in (None, order.version):
        return
    message = "The order has changed since you looked at it."
    details = {"order_version": order.version, "expected_version": expected_version}
    raise Rejection("version-mismatch", message, status_hint=412, details=details)


# Services' events


def _append(log: Log, request: Append, fresh: Fresh, tx: Transaction) -> Decision:
    row = TYPE_OF_BODY[type(request.body)]
    if APPENDS_AS.get(request.service) != row.app_id:
        raise _forbidden(f"The {request.service} service may not append {row.name}.")
    order = log.folds.order(tx, request.order_id)
    try:
        _expect_append(order, request.expected_version)
        rules.decide(order, request.body)
        origin = Origin(
            correlation_id=request.correlation_id,
            at_ms=fresh.at_ms,
            traceparent=request.traceparent,
            tracestate=request.tracestate,
        )
        event, _ = log.append(tx, order, request.order_id, request.id, request.body, row, origin)
    except (Rejection, sqlite3.IntegrityError):
        # Most events are new. Whether this one was there before is asked only when it is refused:
        # by the guard, by the expected version, or by the log because its id is taken.
        repeated = _repeated(tx, order, request)
        if repeated is None:
            raise
        return Decision(Recorded(repeated, replayed=True))
    return Decision(Recorded(event, replayed=False), event)


def _repeated(tx: Transaction, order: Order | None, request: Append) -> Event | None:
    original = event_store.event_by_id(tx.connection, request.id)
    if original is not None:
        return _same(original, request)
    return _shipped_again(tx, order, request.body)


def _same(original: event_store.StoredEvent, request: Append) -> Event:
    row = TYPE_OF_BODY[type(request.body)]
    stored = (original.stream, original.type, original.schema_version, original.data)
    if stored != (request.order_id, row.name, row.schema_version, encode_body(request.body)):
        message = "This event id was used for another event."
        raise Rejection("event-id-conflict", message, details={"event_id": original.event_id})
    return event_from(original)


def _shipped_again(tx: Transaction, order: Order | None, body: Body) -> Event | None:
    """Return the original of a repeated *shipped* with the same carrier and tracking number."""
    if not isinstance(body, Shipped) or order is None or not order.has("shipped"):
        return None
    if (order.carrier, order.tracking) != (body.carrier, body.tracking):
        return None
    stored = event_store.event_by_id(tx.connection, order.happened["shipped"].event_id)
    assert stored is not None, "what was folded is in the store"
    return event_from(stored)


def _expect_append(order: Order | None, expected_version: int | None) -> None:
    version = 0 if order is None else order.version
    if expected_version in (None, version):
        return
    message = f"The order is at version {version}, not {expected_version}."
    details = {"current_version": version, "expected_version": expected_version}
    raise Rejection("version-conflict", message, details=details)


def _forbidden(message: str) -> Rejection:
    return Rejection("forbidden", message, status_hint=403)


def _invalid() -> Rejection:
    return Rejection("validation-failed", "The command is not valid.", status_hint=422)
