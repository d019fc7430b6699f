"""Everything that is left of a run, read from files and the broker, as plain rows.

No code of the product is imported here: the SQL is written against the files' formats, and bodies
are JSON. Files are opened read-only. The simulator and the process-kill campaigns collect the same
rows, so that the same functions judge both.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from email.policy import compat32
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from sim.history import Command
from sim.judges.inbox import Inbox, inboxes
from sim.judges.observed import Observed

Json = dict[str, Any]
SERVICES = ("payment", "shipping", "notification")


class EventRow(msgspec.Struct):
    """One event of the log."""

    position: int
    id: str
    order_id: str
    version: int
    type: str
    data: Json
    app_id: str
    recorded_at_ms: int


class Published(msgspec.Struct):
    """A message as a bystander saw it: a queue of its own, bound to every exchange."""

    id: str
    type: str
    app_id: str
    exchange: str
    routing_key: str
    order_id: str
    version: int
    data: Json
    raw: bytes


class Operation(msgspec.Struct):
    """Something that happened to somebody's money."""

    id: str
    key: str
    kind: str
    order_id: str
    token: str
    amount: int
    currency: str
    of: str
    at_ms: int


class Parcel(msgspec.Struct):
    """What the carrier has packed."""

    id: str
    key: str
    order_id: str
    address: Json
    items: list[Json]
    prepared_at_ms: int


class MailFile(msgspec.Struct):
    """A mail in the customers' folder. ``name`` is ORDER.EVENT.TEMPLATE."""

    name: str
    to: str
    subject: str
    message_id: str
    order_id: str
    template: str


class MailRow(msgspec.Struct):
    """What the notification service noted of one mail."""

    key: str
    order_id: str
    event_id: str
    template: str
    state: str
    reason: str


class Remembered(msgspec.Struct):
    """An answer kept under an idempotency key; ``version`` is None for a refusal."""

    principal: str
    route: str
    key: str
    order_id: str
    version: int | None


class ListRow(msgspec.Struct):
    """One row of the order list."""

    order_id: str
    status: str
    version: int
    total: int
    refund_due: int


class DeadLetter(msgspec.Struct):
    """A message in a queue of dead letters. ``reason`` is why it was parked, if we parked it."""

    queue: str
    id: str
    type: str
    reason: str
    body: bytes


class Evidence(msgspec.Struct, dict=True):
    """All of it. ``inbox`` is service -> message id -> state; ``queues`` name -> messages left.

    ``dead`` are the parties that are not to come back: what only they could do is not asked for.
    ``moments`` says by one clock when events and the outsiders' deeds were committed, by id; where
    it is empty all ledgers were written on one machine, by its clock. ``observed`` is what files
    cannot show, and is empty where nobody looked on.
    """

    commands: list[Command]
    events: list[EventRow]
    published: list[Published]
    operations: list[Operation]
    parcels: list[Parcel]
    mails: list[MailFile]
    mail_rows: list[MailRow]
    remembered: list[Remembered]
    order_list: list[ListRow]
    vault: dict[str, str]
    inbox: dict[str, dict[str, str]]
    holds: dict[str, int]
    outbox: list[str]
    calls: list[str]
    queues: dict[str, int]
    faults: dict[str, str]
    dead_letters: list[DeadLetter] = []
    dead: tuple[str, ...] = ()
    moments: dict[str, float] = {}
    observed: Observed = msgspec.field(default_factory=Observed)

    @cached_property
    def streams(self) -> dict[str, list[EventRow]]:
        """The events by order, as they are positioned in the log."""
        streams: dict[str, list[EventRow]] = {}
        for event in self.events:
            streams.setdefault(event.order_id, []).append(event)
        return streams

    @cached_property
    def by_id(self) -> dict[str, EventRow]:
        """The events by id."""
        return {event.id: event for event in self.events}

    @cached_property
    def addresses(self) -> dict[str, Json]:
        """The vault's addresses, decoded, by reference."""
        found = ((ref, data) for ref, data in self.vault.items() if data.startswith("{"))
        decoded = {ref: json.loads(data) for ref, data in found}
        return {ref: data for ref, data in decoded.items() if "line1" in data}

    @cached_property
    def inboxes(self) -> dict[str, Inbox]:
        """The history of each service's inbox, as it was committed."""
        return inboxes(self.observed)

    @cached_property
    def parked(self) -> dict[str, set[str]]:
        """The ids of the messages in each service's queue of dead letters."""
        parked: dict[str, set[str]] = {service: set() for service in SERVICES}
        for letter in self.dead_letters:
            parked.setdefault(letter.queue.removesuffix(".dead"), set()).add(letter.id)
        return parked


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that others own, for reading only."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as connection:
        yield connection


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return what a query finds; nothing where a party died before it had made its tables."""
    (found,) = tables(path, sql)
    return found


def tables(path: Path, *queries: str) -> list[list[tuple[Any, ...]]]:
    """Return what each query finds in one file; see `rows`."""
    if not path.exists():
        return [[] for _ in queries]
    with reading(path) as database:
        return [_found(database, sql) for sql in queries]


def _found(database: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    try:
        return database.execute(sql).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return []


class Ledgers(msgspec.Struct, frozen=True):
    """In which folder each party keeps its books: the services' own, and the outsiders'."""

    order_events: Path
    payment: Path
    shipping: Path
    notification: Path
    provider: Path
    carrier: Path
    mailer: Path

    @classmethod
    def in_one(cls, folder: Path) -> "Ledgers":
        """Return the ledgers of a system whose parties share one folder."""
        return cls(*[folder] * len(cls.__struct_fields__))

    def of(self, service: str) -> Path:
        """Return the database of a service with an inbox."""
        folder: Path = getattr(self, service)
        return folder / f"{service}.db"

    def databases(self) -> list[Path]:
        """Return every database there is, each once."""
        folders = dict.fromkeys(getattr(self, name) for name in self.__struct_fields__)
        return [path for folder in folders for path in sorted(folder.glob("*.db"))]


def collect(
    commands: list[Command], ledgers: Ledgers, queues: dict[str, int], published: list[Published]
) -> Evidence:
    """Read everything; nobody may be writing any more."""
    log = ledgers.order_events / "orders.db"
    events, remembered, order_list, vault, outbox = tables(
        log, _EVENTS, _REMEMBERED, _ORDER_LIST, _VAULT, _OUTBOX
    )
    paid, pay_holds, calls = tables(ledgers.of("payment"), _INBOX, _HOLDS, _CALLS)
    packed, pack_holds = tables(ledgers.of("shipping"), _INBOX, _HOLDS)
    told, mail_rows = tables(ledgers.of("notification"), _INBOX, _MAILS)
    return Evidence(
        commands=commands,
        events=[_event(row) for row in events],
        published=published,
        operations=[
            Operation(*row) for row in rows(ledgers.provider / "sandbox-provider.db", _OPERATIONS)
        ],
        parcels=[_parcel(row) for row in rows(ledgers.carrier / "carrier.db", _PARCELS)],
        mails=[_mail(path) for path in sorted((ledgers.mailer / "mail").glob("*/[!.]*"))],
        mail_rows=[MailRow(*row) for row in mail_rows],
        remembered=[Remembered(*row) for row in remembered],
        order_list=[ListRow(*row) for row in order_list],
        vault={ref: data.decode() for ref, data in vault},
        inbox={"payment": dict(paid), "shipping": dict(packed), "notification": dict(told)},
        holds={"payment": len(pay_holds), "shipping": len(pack_holds)},
        outbox=[str(position) for (position,) in outbox],
        calls=[str(key) for (key,) in calls],
        queues=queues,
        faults={path.name: _integrity(path) for path in ledgers.databases()},
    )


_EVENTS = (
    "SELECT position, event_id, stream, version, type, data, app_id, recorded_at_ms FROM events"
    " ORDER BY position"
)
_REMEMBERED = "SELECT principal, route, key, order_id, version FROM idempotency"
_ORDER_LIST = "SELECT order_id, status, version, total_amount, refund_due FROM order_list"
_OPERATIONS = (
    "SELECT id, key, kind, order_id, token, amount, currency, of, at_ms FROM operations"
    " ORDER BY sequence"
)
_PARCELS = "SELECT parcel_id, key, order_id, address, items, prepared_at_ms FROM parcels"
_MAILS = "SELECT key, order_id, event_id, template, state, reason FROM mails"
_INBOX = "SELECT message_id, state FROM inbox"
_VAULT = "SELECT ref, data FROM vault"
_OUTBOX = "SELECT position FROM outbox"
_HOLDS = "SELECT 1 FROM holds"
_CALLS = "SELECT key FROM calls"
# The old policy: it leaves a header alone until it is asked for, at a tenth of the cost.
_HEAD = BytesHeaderParser(policy=compat32)
_BLANK_LINE = re.compile(rb"(?<=\n)\r?\n")


def _event(row: tuple[Any, ...]) -> EventRow:
    position, event_id, stream, version, kind, data, app_id, at_ms = row
    return EventRow(position, event_id, stream, version, kind, json.loads(data), app_id, at_ms)


def _parcel(row: tuple[Any, ...]) -> Parcel:
    parcel_id, key, order_id, address, items, at_ms = row
    return Parcel(parcel_id, key, order_id, json.loads(address), json.loads(items), at_ms)


def _mail(path: Path) -> MailFile:
    head = _HEAD.parsebytes(_BLANK_LINE.split(path.read_bytes(), 1)[0])
    return MailFile(
        name=path.name.partition(":")[0],
        to=_text(head["To"]),
        subject=_text(head["Subject"]),
        message_id=_text(head["Message-ID"]),
        order_id=_text(head["X-Ordermill-Order"]),
        template=_text(head["X-Ordermill-Template"]),
    )


def _text(value: object) -> str:
    raw = "".join(str(value).splitlines())
    return str(make_header(decode_header(raw))) if "=?" in raw else raw


def _integrity(path: Path) -> str:
    with reading(path) as database:
        rows = database.execute("PRAGMA integrity_check").fetchall()
    return "; ".join(text for (text,) in rows)
