"""What the service remembers of each mail, for ever, in its own database.

One row a mail, by its key (order, event, template): *sending* from before the mailer is asked, then
*sent* or *skipped*. What is sent or skipped stays so, whatever becomes of the inbox: no replay and
no rebuild mails again. An erased order is remembered too: what is not sent by then never will be.
"""

import sqlite3
from typing import Literal

import msgspec

from runtime.staged import Statement
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE mails (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    template TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'skipped')),
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mails_order ON mails (order_id);
CREATE TABLE erased (order_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

State = Literal["sending", "sent", "skipped"]
ERASED = "erased"


_NOTE = Statement(
    "mails",
    "INSERT INTO mails (key, order_id, event_id, template, state, reason, at_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
    " SET state = excluded.state, reason = excluded.reason, at_ms = excluded.at_ms"
    " WHERE state = 'sending'",
)


class MailId(msgspec.Struct, frozen=True):
    """Which mail: about which event of which order, by which template."""

    order_id: str
    event_id: str
    template: str

    @property
    def key(self) -> str:
        """The name under which it is sent once."""
        return f"{self.order_id}.{self.event_id}.{self.template}"


class MailEntry(msgspec.Struct, frozen=True):
    """One row; ``reason`` says why a mail was skipped."""

    key: str
    order_id: str
    event_id: str
    template: str
    state: State
    reason: str
    at_ms: int


def state_of(connection: sqlite3.Connection, key: str) -> State | None:
    """Return what is known of the mail; None where nobody has begun with it."""
    row = connection.execute("SELECT state FROM mails WHERE key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def note(tx: Transaction, mail: MailId, state: State, at_ms: int, reason: str = "") -> None:
    """Write the mail's state."""
    tx.write(_NOTE, (mail.key, mail.order_id, mail.event_id, mail.template, state, reason, at_ms))


def erased(connection: sqlite3.Connection, order_id: str) -> bool:
    """Whether the order was erased."""
    found = connection.execute("SELECT 1 FROM erased WHERE order_id = ?", (order_id,))
    return found.fetchone() is not None


def note_erased(tx: Transaction, order_id: str, at_ms: int) -> list[str]:
    """Remember that the order is erased; return the keys of its mails."""
    tx.connection.execute("INSERT OR IGNORE INTO erased VALUES (?, ?)", (order_id, at_ms))
    return [entry.key for entry in of_order(tx.connection, order_id)]


def of_order(connection: sqlite3.Connection, order_id: str) -> list[MailEntry]:
    """Return what is known of the order's mails, oldest first."""
    rows = connection.execute(
        "SELECT key, order_id, event_id, template, state, reason, at_ms FROM mails"
        " WHERE order_id = ? ORDER BY at_ms, key",
        (order_id,),
    )
    return [MailEntry(*row) for row in rows]


def unsent(connection: sqlite3.Connection) -> int:
    """Return how many mails were begun and neither sent nor skipped."""
    (count,) = connection.execute("SELECT count(*) FROM mails WHERE state = 'sending'").fetchone()
    return int(count)
