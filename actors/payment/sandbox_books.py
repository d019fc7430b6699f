"""The sandbox provider's books: SQL and rules that run in one transaction of its own database.

Three tables. ``requests``: every request that arrived, whatever became of it. ``remembered``: the
idempotency keys, each with the first response, for a day. ``operations``: what really happened to
somebody's money; append-only, and the oracle against which the order system's log is checked.

The sandbox does not save a merchant from his own mistakes: a second key is a second charge, and a
charge can be refunded twice. Only so can a mistake be seen.
"""

import sqlite3
from typing import Literal

import msgspec

from actors.domain.cards import CARDS_BY_TOKEN, DECLINES
from actors.domain.values import Money
from actors.payment.provider import (
    KEY_LIFE_S,
    Authorised,
    Captured,
    Declined,
    Outcome,
    Refunded,
    Voided,
)
from runtime.host import Ids
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE requests (
    sequence INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    answer TEXT NOT NULL
) STRICT;
CREATE INDEX requests_subject ON requests (subject, kind);
CREATE TABLE remembered (
    key TEXT PRIMARY KEY,
    request BLOB NOT NULL,
    response BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE operations (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    order_id TEXT NOT NULL,
    token TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    of TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX operations_key ON operations (key);
CREATE INDEX operations_of ON operations (of, kind);
CREATE TRIGGER operations_stay BEFORE UPDATE ON operations
BEGIN SELECT raise(ABORT, 'the books are append-only'); END;
"""

Kind = Literal["authorise", "capture", "void", "refund"]
Personality = Literal["stores-all", "stores-success"]
_UNREACHABLE_TIMES = {("pm_card_flaky", "authorise"): 2, ("pm_card_refund_flaky", "refund"): 3}
_GARBLED_TOKEN = "pm_card_poison"  # noqa: S105
_BUILDS_ON: dict[Kind, Kind] = {"capture": "authorise", "void": "authorise", "refund": "capture"}
_PREFIX: dict[Kind, str] = {"authorise": "auth", "capture": "ch", "void": "void", "refund": "re"}


class Request(msgspec.Struct, frozen=True):
    """One request; ``subject`` is the token, authorisation or charge that it is about."""

    key: str
    kind: Kind
    subject: str
    amount: Money | None = None
    order_id: str = ""


class Unreachable(msgspec.Struct, frozen=True, tag="unreachable"):
    """The card's processor did not answer: nothing happened, and no key was used up."""


class Garbled(msgspec.Struct, frozen=True, tag="garbled"):
    """The processor answered with something that nobody can read; nothing happened."""


class Conflict(msgspec.Struct, frozen=True, tag="conflict"):
    """The key belongs to another request."""


Response = Outcome | Unreachable | Garbled | Conflict


class LedgerEntry(msgspec.Struct, frozen=True):
    """One row of the books.

    ``of`` is what it builds on: for a capture or void the authorisation, for a refund the charge.
    """

    sequence: int
    id: str
    key: str
    kind: Kind
    order_id: str
    token: str
    amount: int
    currency: str
    of: str
    at_ms: int


class RequestEntry(msgspec.Struct, frozen=True):
    """One request as it arrived; ``answer`` is the tag of the response (authorised, ...)."""

    sequence: int
    key: str
    kind: Kind
    subject: str
    at_ms: int
    answer: str


_encode = msgspec.json.Encoder(order="deterministic").encode
_RESPONSE: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)
_ENTRY = "SELECT sequence, id, key, kind, order_id, token, amount, currency, of, at_ms"


def respond(tx: Transaction, request: Request, personality: Personality, now_ms: int) -> Response:
    """Answer a request: from memory if the key is known, else by carrying it out."""
    response = _remembered(tx.connection, request, now_ms)
    if response is None:
        response = _carry_out(tx.connection, request, now_ms)
        if _worth_remembering(response, personality):
            tx.connection.execute(
                "INSERT INTO remembered (key, request, response, at_ms) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET request = excluded.request,"
                " response = excluded.response, at_ms = excluded.at_ms",
                (request.key, _encode(request), _encode(response), now_ms),
            )
    tag = type(response).__struct_config__.tag
    tx.connection.execute(
        "INSERT INTO requests (key, kind, subject, at_ms, answer) VALUES (?, ?, ?, ?, ?)",
        (request.key, request.kind, request.subject, now_ms, tag),
    )
    return response


def _remembered(connection: sqlite3.Connection, request: Request, now_ms: int) -> Response | None:
    row = connection.execute(
        "SELECT request, response, at_ms FROM remembered WHERE key = ?", (request.key,)
    ).fetchone()
    if row is None or now_ms - row[2] >= KEY_LIFE_S * 1000:
        return None
    return _RESPONSE.decode(row[1]) if row[0] == _encode(request) else Conflict()


def _worth_remembering(response: Response, personality: Personality) -> bool:
    """Results are kept once a request was carried out; one of the two keeps successes only."""
    if isinstance(response, Unreachable):
        return False
    return personality == "stores-all" or not isinstance(response, Declined | Garbled)


def _carry_out(connection: sqlite3.Connection, request: Request, now_ms: int) -> Response:
    if request.kind == "authorise":
        return _authorise(connection, request, now_ms)
    origin = entry(connection, request.subject)
    if origin is None or origin.kind != _BUILDS_ON[request.kind]:
        return Declined("no_such_object")
    if request.kind == "refund":
        if _processor_down(connection, request, origin.token):
            return Unreachable()
        return Refunded(_book(connection, request, origin, now_ms))
    (charge,) = _built_on(connection, origin.id, "capture") or (None,)
    if request.kind == "void":
        if charge is not None:
            return Captured(charge)
        if not _built_on(connection, origin.id, "void"):
            _book(connection, request, origin, now_ms)
        return Voided()
    if charge is not None or _built_on(connection, origin.id, "void"):
        return Declined("authorisation_not_open")
    return Captured(_book(connection, request, origin, now_ms))


def _authorise(connection: sqlite3.Connection, request: Request, now_ms: int) -> Response:
    token = request.subject
    if token in DECLINES or token not in CARDS_BY_TOKEN:
        return Declined(DECLINES.get(token, "unknown_card"))
    if token == _GARBLED_TOKEN:
        return Garbled()
    if _processor_down(connection, request, token):
        return Unreachable()
    return Authorised(_book(connection, request, None, now_ms))


def _processor_down(connection: sqlite3.Connection, request: Request, token: str) -> bool:
    """Whether this is one of the first requests with this key, of a card that fails these."""
    times = _UNREACHABLE_TIMES.get((token, request.kind), 0)
    if times == 0:
        return False
    (before,) = connection.execute(
        "SELECT count(*) FROM requests WHERE key = ? AND subject = ? AND kind = ?",
        (request.key, request.subject, request.kind),
    ).fetchone()
    return bool(before < times)


def _book(
    connection: sqlite3.Connection, request: Request, origin: LedgerEntry | None, now_ms: int
) -> str:
    (sequence,) = connection.execute(
        "SELECT coalesce(max(sequence), 0) + 1 FROM operations"
    ).fetchone()
    operation = Ids.derived(_PREFIX[request.kind], request.key, sequence)
    amount = request.amount or (origin and Money(origin.amount, origin.currency))
    assert amount is not None, f"{request.kind} without an amount"
    connection.execute(
        "INSERT INTO operations (sequence, id, key, kind, order_id, token, amount, currency, of,"
        " at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            sequence,
            operation,
            request.key,
            request.kind,
            origin.order_id if origin else request.order_id,
            origin.token if origin else request.subject,
            amount.amount,
            amount.currency,
            origin.id if origin else "",
            now_ms,
        ),
    )
    return operation


def _built_on(connection: sqlite3.Connection, origin: str, kind: Kind) -> list[str]:
    rows = connection.execute(
        "SELECT id FROM operations WHERE of = ? AND kind = ? ORDER BY sequence LIMIT 1",
        (origin, kind),
    )
    return [row[0] for row in rows]


def entry(connection: sqlite3.Connection, operation: str) -> LedgerEntry | None:
    """Return one row of the books."""
    row = connection.execute(f"{_ENTRY} FROM operations WHERE id = ?", (operation,)).fetchone()
    return None if row is None else LedgerEntry(*row)


def outcome_of(connection: sqlite3.Connection, key: str) -> Response | None:
    """Return what the latest request with this key did, from the books, else from memory."""
    row = connection.execute(
        "SELECT kind, id FROM operations WHERE key = ? ORDER BY sequence DESC LIMIT 1", (key,)
    ).fetchone()
    if row is not None:
        kind, operation = row
        return _as_outcome(kind, operation)
    remembered = connection.execute(
        "SELECT response FROM remembered WHERE key = ?", (key,)
    ).fetchone()
    return None if remembered is None else _RESPONSE.decode(remembered[0])


def _as_outcome(kind: Kind, operation: str) -> Outcome:
    match kind:
        case "authorise":
            return Authorised(operation)
        case "capture":
            return Captured(operation)
        case "void":
            return Voided()
        case "refund":
            return Refunded(operation)


def ledger(connection: sqlite3.Connection) -> list[LedgerEntry]:
    """Return all the books, oldest first."""
    rows = connection.execute(f"{_ENTRY} FROM operations ORDER BY sequence")
    return [LedgerEntry(*row) for row in rows]


def requests(connection: sqlite3.Connection) -> list[RequestEntry]:
    """Return every request that arrived, oldest first."""
    rows = connection.execute(
        "SELECT sequence, key, kind, subject, at_ms, answer FROM requests ORDER BY sequence"
    )
    return [RequestEntry(*row) for row in rows]
