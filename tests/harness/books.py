"""What really happened, by the books of the outside parties and the queues of the broker."""

import json
import re

import msgspec

from actors.parties import Parties
from actors.payment.sandbox import SandboxProvider
from actors.shipping.depot import Depot
from actors.topology import SUBSCRIPTIONS
from tests.harness.foreign import Foreigner
from tests.harness.system import LiveSystem

PREPARED = [
    "order-created",
    "payment-auth-in-progress",
    "payment-captured",
    "shipping-preparation-in-progress",
    "shipping-prepared",
]
DEAD = tuple(f"{queue}.dead" for queue in SUBSCRIPTIONS)


class Books(msgspec.Struct, frozen=True):
    """What one order came to.

    ``moves``: what happened to money, in order. ``requests``: those that reached the provider.
    ``parcels``: how many. ``mails``: the subjects, sorted, N for the order's number.
    """

    moves: list[str]
    requests: list[str]
    parcels: int
    mails: list[str]


async def books_of(system: LiveSystem, order_id: str) -> Books:
    """Read the books of every party about one order."""
    moves, requests, parcels = await _rows(system.parties, order_id)
    numbered = re.compile(rf"\b{await _number(system, order_id)}\b")
    subjects = [str(mail["Subject"]) for mail in system.mails()]
    mails = sorted(numbered.sub("N", text) for text in subjects if numbered.search(text))
    return Books(moves, requests, parcels, mails)


async def _rows(parties: Parties, order_id: str) -> tuple[list[str], list[str], int]:
    provider, carrier = parties.provider, parties.carrier
    assert isinstance(provider, SandboxProvider)
    assert isinstance(carrier, Depot)
    moves = [entry for entry in await provider.ledger() if entry.order_id == order_id]
    keys = {entry.key for entry in moves}
    requests = [entry.kind for entry in await provider.requests() if entry.key in keys]
    parcels = [entry for entry in await carrier.ledger() if entry.order_id == order_id]
    return [entry.kind for entry in moves], requests, len(parcels)


async def _number(system: LiveSystem, order_id: str) -> str:
    answer = await system.call("GET", f"/v1/orders/{order_id}", token="operator")
    return str(answer.json()["number"])


async def dead_letters(client: Foreigner) -> dict[str, int]:
    """Return how many messages lie in each ``.dead`` queue that is not empty."""
    return {queue: count for queue, count in (await client.ready(DEAD)).items() if count}


def logged(system: LiveSystem, event: str, **fields: object) -> list[dict[str, object]]:
    """Return the system's log lines of one event that have these fields."""
    lines = [json.loads(line) for line in system.log]
    return [
        line
        for line in lines
        if line["event"] == event and all(line.get(name) == fields[name] for name in fields)
    ]


async def assert_prepared_once(system: LiveSystem, order_id: str) -> None:
    """The order is paid and prepared, nothing is left to do, and nothing was even asked twice."""
    await system.wait_for(order_id, "shipping-prepared")
    await system.quiet()
    assert [event.type.name for event in await system.events(order_id)] == PREPARED
    once = ["authorise", "capture"]
    assert await books_of(system, order_id) == Books(once, once, 1, ["We received your order N"])
