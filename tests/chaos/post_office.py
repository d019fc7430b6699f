"""The customers' mail provider of a campaign: a real SMTP server, outside of every killed process.

It keeps books of its own: a copy is on file before it is acknowledged. SMTP cannot exclude a second
copy from a sender who died before it had noted the acknowledgement, and nothing else may cause one.
So at every kill it is written down which mails the dead process was sending.
"""

import email
import email.policy
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
from aiosmtpd.smtp import SMTP, Envelope, Session

from sim.judges.checker import INVARIANTS, Invariant
from sim.judges.evidence import Evidence, MailFile, reading
from sim.judges.parties import TEMPLATES, no_mail_twice
from tests.harness.mail_server import MailServer

FILE = "post-office.db"
ANSWER_S_MAX = 0.03
_SCHEMA = """
CREATE TABLE copies (
    number INTEGER PRIMARY KEY,
    order_id TEXT, template TEXT, message_id TEXT, recipient TEXT, subject TEXT, at_ms INTEGER
)
"""
_SENDING = "SELECT order_id, template FROM mails WHERE state = 'sending'"

Mail = tuple[str, str]
"""Which mail: its order and its template."""


class PostOffice(MailServer):
    """Takes every mail; about half of them it acknowledges a moment later."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__()
        self.interrupted: Counter[Mail] = Counter()
        self._folder = folder
        self._rng = random.Random(f"{seed}/post-office")
        self._books = sqlite3.connect(folder / FILE, isolation_level=None)
        # Watched by others while we write; no power is cut here, so nothing needs to be on disk.
        self._books.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {_SCHEMA}")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd."""
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        names = ("X-Ordermill-Order", "X-Ordermill-Template", "Message-ID", "To", "Subject")
        assert [mail["To"]] == envelope.rcpt_tos
        self._books.execute(
            "INSERT INTO copies (order_id, template, message_id, recipient, subject, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*(str(mail[name]) for name in names), int(time.time() * 1000)),
        )
        if self._rng.random() < 0.5:
            await anyio.sleep(self._rng.uniform(0, ANSWER_S_MAX))
        return "250 OK"

    def sender_killed(self) -> None:
        """Note, right after a kill, which mails the dead process was sending."""
        with reading(self._folder / "notification.db") as journal:
            self.interrupted.update(journal.execute(_SENDING).fetchall())

    def close(self) -> None:
        """Close the books."""
        self._books.close()


def delivered(folder: Path, evidence: Evidence) -> list[MailFile]:
    """Return every copy that arrived, under the name that our mailer's file would have."""
    kinds = {template: kind for kind, template in TEMPLATES.items()}
    events = {(event.order_id, event.type): event.id for event in evidence.events}
    with reading(folder / FILE) as books:
        rows = books.execute(
            "SELECT order_id, template, message_id, recipient, subject FROM copies ORDER BY number"
        ).fetchall()
    found = []
    for order_id, template, message_id, to, subject in rows:
        event_id = events.get((order_id, kinds.get(template, "")), "no-event")
        name = f"{order_id}.{event_id}.{template}"
        found.append(MailFile(name, to, subject, message_id, order_id, template))
    return found


def second_copies(evidence: Evidence) -> int:
    """Return how many mails too many arrived."""
    return len(evidence.mails) - len({(mail.order_id, mail.template) for mail in evidence.mails})


def invariants(interrupted: Counter[Mail]) -> tuple[Invariant, ...]:
    """Return all, with the one about second copies in place of the one that there is none."""

    def a_second_copy_is_from_a_kill_in_its_exchange(
        evidence: Evidence,
    ) -> Iterator[str | None]:
        """A mail arrived again at most as often as its sender died sending it: one Message-ID."""
        copies: dict[Mail, list[str]] = {}
        owners: dict[str, set[Mail]] = {}
        for mail in evidence.mails:
            copies.setdefault((mail.order_id, mail.template), []).append(mail.message_id)
            owners.setdefault(mail.message_id, set()).add((mail.order_id, mail.template))
        for (order_id, template), ids in copies.items():
            kills = interrupted[order_id, template]
            right = len(ids) - 1 <= kills and len(set(ids)) == 1 and len(owners[ids[0]]) == 1
            said = f"{order_id}: {len(ids)} mails {template}, {len(set(ids))} ids, {kills} kills"
            yield None if right else said

    own = a_second_copy_is_from_a_kill_in_its_exchange
    return tuple(own if one is no_mail_twice else one for one in INVARIANTS)
