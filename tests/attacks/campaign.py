"""One attack from start to end: what is sent, what is watched meanwhile, and the verdict."""

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import msgspec

from actors.domain.order_events import Service
from tests.attacks.corpus import Aim, Shot, corpus, ordinary
from tests.attacks.customers import Customers, customers
from tests.attacks.floods import Floods, Sizes
from tests.attacks.mutations import mutated, noise
from tests.attacks.target import Target, target
from tests.attacks.volley import Findings, fire
from tests.harness.system import order_body
from tests.harness.waiting import eventually

ORDERS = 40
RESIDENT_MIB_MAX = 50.0
FILES_MORE_MAX = 4
SETTLE_S_MAX = 40.0

Say = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: the corpus (or a part of it), changed requests and noise, and floods.

    All of it follows from ``seed``.
    """

    seed: int
    corpus: int | None = None
    mutated: int = 2500
    noise: int = 1500
    floods: Sizes = Sizes()


class Outcome(msgspec.Struct, kw_only=True):
    """What came of it; ``breaches`` in words, none if everything held."""

    plan: Plan
    sent: int = 0
    malformed: int = 0
    statuses: dict[int, int] = {}
    flooded: dict[str, int] = {}
    resident_mib_before: float = 0.0
    resident_mib_most: float = 0.0
    files_before: int = 0
    files_after: int = 0
    served: int = 0
    served_repeated: int = 0
    served_slowest_s: float = 0.0
    orders: int = 0
    breaches: list[str] = []

    def summary(self) -> str:
        """Say all of it in a few lines."""
        grown = f"{self.resident_mib_before:.0f} -> {self.resident_mib_most:.0f} MiB at most"
        return (
            f"sent {self.sent}, malformed {self.malformed}: {dict(sorted(self.statuses.items()))}\n"
            f"floods: {dict(sorted(self.flooded.items()))}\n"
            f"memory {grown}, files {self.files_before} -> {self.files_after}\n"
            f"customers: {self.served} requests served, {self.orders} orders, "
            f"{self.served_repeated} repeated, slowest {self.served_slowest_s:.2f} s\n"
            + "".join(f"{breach}\n" for breach in self.breaches[:20])
            + f"{len(self.breaches)} breaches, seed {self.plan.seed}"
        )


async def run(plan: Plan, folder: Path, say: Say) -> Outcome:
    """Attack a new system in ``folder``, and judge."""
    with target(folder) as attacked:
        await attacked.ready()
        aims = await _aims(attacked)
        async with customers(attacked) as first:
            await eventually(_at_work(first, 30))
        outcome = Outcome(
            plan=plan,
            resident_mib_before=attacked.resident_mib(),
            files_before=attacked.open_files(),
        )
        async with customers(attacked) as honest, _watched(attacked, outcome):
            await _attack(plan, attacked, aims, outcome, say)
            await eventually(_at_work(honest, 100))
        _note(outcome, honest)
        await _settled(attacked, outcome)
        code = await attacked.stop()
        if code != 0:
            outcome.breaches.append(f"it ended with {code}")
        outcome.breaches += [f"logged: {line[:1500]}" for line in attacked.complaints()]
    return outcome


async def _attack(
    plan: Plan, attacked: Target, aims: Sequence[Aim], outcome: Outcome, say: Say
) -> None:
    findings = Findings()
    await fire(attacked, _shots(plan, aims[1:]), findings, plan.seed)
    say(f"sent {findings.sent}, malformed {findings.malformed}")
    outcome.sent, outcome.malformed = findings.sent, findings.malformed
    outcome.statuses = dict(findings.statuses)
    outcome.breaches += findings.breaches
    floods = Floods(attacked, aims[0], plan.floods, plan.seed)
    await floods.all()
    outcome.flooded = dict(floods.seen)
    say(f"floods: {outcome.flooded}")


def _shots(plan: Plan, aims: Sequence[Aim]) -> Iterator[Shot]:
    """Everything in one shuffled row, so that kinds of trouble meet, at ever another order."""
    rng = random.Random(f"shots/{plan.seed}")
    aim = aims[0]
    known = list(corpus(aim))
    if plan.corpus is not None:
        known = rng.sample(known, min(plan.corpus, len(known)))
    base = ordinary(aim)
    shots = [
        *known,
        *itertools.islice(mutated(rng, base), plan.mutated),
        *itertools.islice(noise(rng), plan.noise),
    ]
    rng.shuffle(shots)
    for number, shot in enumerate(shots):
        other = aims[number % len(aims)]
        data = shot.data.replace(aim.order_id.encode(), other.order_id.encode())
        data = data.replace(aim.customer.encode(), other.customer.encode())
        yield Shot(shot.service, data)


async def _aims(attacked: Target) -> list[Aim]:
    """Place the orders that are attacked, some of which will end in the middle of it."""
    services: tuple[Service, ...] = ("gateway", "payment", "shipping", "notification")
    aims = []
    async with httpx.AsyncClient(base_url=attacked.url, timeout=30.0) as client:
        for _ in range(ORDERS):
            placed = await client.post("/v1/orders", json=order_body())
            assert placed.status_code == 201, placed.text
            aims.append(
                Aim(
                    order_id=placed.json()["id"],
                    customer=placed.json()["access_token"],
                    operator=attacked.operator_token,
                    services={name: attacked.service_token(name) for name in services},
                    at_shipping=attacked.shipping_token(),
                )
            )
    return aims


@asynccontextmanager
async def _watched(attacked: Target, outcome: Outcome) -> AsyncIterator[None]:
    """Measure memory again and again until the block ends."""

    async def measure() -> None:
        while attacked.alive:
            outcome.resident_mib_most = max(outcome.resident_mib_most, attacked.resident_mib())
            await asyncio.sleep(0.1)
        outcome.breaches.append("the process has died")

    task = asyncio.create_task(measure())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    grown = outcome.resident_mib_most - outcome.resident_mib_before
    if grown > RESIDENT_MIB_MAX:
        outcome.breaches.append(f"memory grew by {grown:.0f} MiB")


def _at_work(seen: Customers, served: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return seen.served >= served or bool(seen.failures)

    return enough


def _note(outcome: Outcome, honest: Customers) -> None:
    outcome.served, outcome.orders = honest.served, honest.orders
    outcome.served_repeated = honest.repeated
    outcome.served_slowest_s = honest.slowest_s
    outcome.breaches += [f"an honest customer: {failure}" for failure in honest.failures]


async def _settled(attacked: Target, outcome: Outcome) -> None:
    """Wait until it has come to rest; what has not in time is a breach."""
    most = outcome.files_before + FILES_MORE_MAX
    async with httpx.AsyncClient(base_url=attacked.url, timeout=30.0) as client:
        left: list[str] = []
        with anyio.move_on_after(SETTLE_S_MAX):
            while left := await _unsettled(client):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.2)
    with anyio.move_on_after(SETTLE_S_MAX):
        while attacked.open_files() > most:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.2)
    outcome.files_after = attacked.open_files()
    if outcome.files_after > most:
        left.append(f"{outcome.files_after} files are open")
    outcome.breaches += [f"not settled: {what}" for what in left]


async def _unsettled(client: httpx.AsyncClient) -> list[str]:
    metrics = (await client.get("/metrics")).text
    found = []
    for name, most in (
        ("http_connections", 1),
        ("stream_clients", 0),
        ("outbox_pending", 0),
        ("dead_letters", 0),
    ):
        rows = re.findall(rf"^(ordermill_{name}\S*) (\S+)$", metrics, re.MULTILINE)
        assert rows, f"{name} is gone from the metrics"
        found += [f"{row} is {value}" for row, value in rows if float(value) > most]
    return found
