"""From a run that is over to its verdict: the evidence is collected, the claims are judged.

Everything is read from what the run has left (histories, ledgers, database files of each node's
last image) and from what its witness has seen. Nothing of the product is asked, but to make the
order list again.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from actors.order_events import order_list
from sim.history import commands
from sim.judges.checker import Finding, check
from sim.judges.evidence import DeadLetter, Evidence, Ledgers, Published, collect, rows
from sim.judges.observed import Rebuilt
from sim.judges.table import Claim, asked_of
from sim.judges.words import PUBLISHED_TO
from sim.watch import frames
from sim.watch.witness import Witness
from sim.world import SimulatedWorld

EXCHANGES = frozenset(PUBLISHED_TO.values())


class Judged(msgspec.Struct, frozen=True):
    """A claim and how it fared."""

    claim: Claim
    finding: Finding


def judge(evidence: Evidence) -> list[Judged]:
    """Evaluate every claim that a run with these parties dead must keep."""
    claims = asked_of(evidence)
    findings = check(evidence, [claim.judge for claim in claims])
    return [Judged(claim, finding) for claim, finding in zip(claims, findings, strict=True)]


def evidence_of(world: SimulatedWorld, dead: Sequence[str], mishaps: Sequence[str]) -> Evidence:
    """Collect what is left of a world; every process of it has ended."""
    evidence = collect(
        commands(world.shop.history),
        ledgers_of(world),
        queues_of(world),
        list(_published(world)),
    )
    evidence.dead_letters = list(_dead_letters(world))
    evidence.dead = tuple(dead)
    evidence.moments = _moments(world.witness)
    evidence.observed = world.witness.observed()
    evidence.observed.mishaps = list(mishaps)
    evidence.observed.rebuilt = list(_rebuilt(ledgers_of(world).order_events / "orders.db"))
    return evidence


def ledgers_of(world: SimulatedWorld) -> Ledgers:
    """Return where each party's books are now."""
    return Ledgers(
        order_events=world.node_of("order-events").storage.folder,
        payment=world.node_of("payment").storage.folder,
        shipping=world.node_of("shipping").storage.folder,
        notification=world.node_of("notification").storage.folder,
        provider=world.nodes["provider"].storage.folder,
        carrier=world.nodes["carrier"].storage.folder,
        mailer=world.nodes["mailer"].storage.folder,
    )


def journal_of(world: SimulatedWorld) -> Path:
    """Return the broker's journal."""
    node = world.nodes.get("broker") or world.nodes["shop"]
    return node.storage.folder / "broker.db"


def queues_of(world: SimulatedWorld) -> dict[str, int]:
    """Return how many messages the broker keeps in each queue, those that are out included."""
    found = rows(
        journal_of(world),
        "SELECT name, (SELECT count(*) FROM message WHERE message.queue = queue.number) FROM queue",
    )
    return dict(found)


def _dead_letters(world: SimulatedWorld) -> Iterator[DeadLetter]:
    for name, header, body in rows(
        journal_of(world),
        "SELECT name, header, body FROM message JOIN queue ON queue.number = message.queue"
        " WHERE name LIKE '%.dead' ORDER BY position",
    ):
        told = frames.properties(header)
        yield DeadLetter(
            queue=name,
            id=str(told.get("message_id", "")),
            type=str(told.get("type", "")),
            reason=str(told.get("headers", {}).get("x-reason", "")),
            body=body,
        )


def _published(world: SimulatedWorld) -> Iterator[Published]:
    for seen in world.witness.broker.published:
        if seen.exchange in EXCHANGES:
            told = frames.properties(seen.header)
            said = msgspec.json.decode(seen.body)
            yield Published(
                id=seen.message_id,
                type=str(told.get("type", "")),
                app_id=str(told.get("app_id", "")),
                exchange=seen.exchange,
                routing_key=seen.routing_key,
                order_id=said["order_id"],
                version=said["version"],
                data=said["data"],
                raw=seen.header + seen.body,
            )


def _moments(witness: Witness) -> dict[str, float]:
    names = {"events": "event_id", "operations": "id", "parcels": "parcel_id"}
    return {
        commit.values[names[commit.table]]: commit.at
        for commit in witness.commits
        if commit.table in names and commit.verb == "insert"
    }


def _rebuilt(path: Path) -> Iterator[Rebuilt]:
    """Make the order list again from the log, look, and leave everything as it was."""
    if not rows(path, "SELECT 1 FROM order_list LIMIT 1"):
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        kept = connection.execute("SELECT * FROM order_list ORDER BY order_id").fetchall()
        before = _sizes(connection)
        order_list.rebuild(connection)
        made = connection.execute("SELECT * FROM order_list ORDER BY order_id").fetchall()
        after = _sizes(connection)
        connection.execute("ROLLBACK")
    yield Rebuilt(kept, made, [table for table, size in before.items() if after[table] != size])


def _sizes(connection: sqlite3.Connection) -> dict[str, int]:
    return {
        "events": connection.execute("SELECT count(*) FROM events").fetchone()[0],
        "outbox": connection.execute("SELECT count(*) FROM outbox").fetchone()[0],
        "idempotency": connection.execute("SELECT count(*) FROM idempotency").fetchone()[0],
        "vault": connection.execute("SELECT count(*) FROM vault").fetchone()[0],
    }
