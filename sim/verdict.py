"""From a run that is over to its verdict: the evidence is collected, the invariants are evaluated.

Everything is read from what the run has left (histories, ledgers, database files of each node's
last image) and from what its witness has seen. Nothing of the product is asked.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from sim.history import commands
from sim.judges.evidence import DeadLetter, Evidence, Ledgers, Published, collect, rows
from sim.judges.words import PUBLISHED_TO
from sim.watch import frames
from sim.watch.witness import Witness
from sim.world import SimulatedWorld

EXCHANGES = frozenset(PUBLISHED_TO.values())


def evidence_of(world: SimulatedWorld) -> Evidence:
    """Collect what is left of a world."""
    evidence = collect(
        commands(world.shop.history),
        _ledgers(world),
        _queues(world),
        list(_published(world.witness)),
    )
    evidence.dead_letters = list(_dead_letters(world))
    evidence.moments = _moments(world.witness)
    return evidence


def _ledgers(world: SimulatedWorld) -> Ledgers:
    return Ledgers(
        order_events=world.node_of("order-events").storage.folder,
        payment=world.node_of("payment").storage.folder,
        shipping=world.node_of("shipping").storage.folder,
        notification=world.node_of("notification").storage.folder,
        provider=world.nodes["provider"].storage.folder,
        carrier=world.nodes["carrier"].storage.folder,
        mailer=world.nodes["mailer"].storage.folder,
    )


def _journal(world: SimulatedWorld) -> Path:
    node = world.nodes.get("broker") or world.nodes["shop"]
    return node.storage.folder / "broker.db"


def _queues(world: SimulatedWorld) -> dict[str, int]:
    found = rows(
        _journal(world),
        "SELECT name, (SELECT count(*) FROM message WHERE message.queue = queue.number) FROM queue",
    )
    return dict(found)


def _dead_letters(world: SimulatedWorld) -> Iterator[DeadLetter]:
    for name, header, body in rows(
        _journal(world),
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


def _published(witness: Witness) -> Iterator[Published]:
    for seen in witness.broker.published:
        if seen.exchange not in EXCHANGES:
            continue
        told = frames.properties(seen.header)
        said = msgspec.json.decode(seen.body)
        yield Published(
            id=str(told.get("message_id", "")),
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
