"""Orders under SIGKILL: start the system, put load on it, kill its processes, let it come to rest,
and judge by the ledgers.

Which target, when, and what a kill waits for follow from the seed; what the processes do meanwhile
does not, so a seed names a campaign and does not repeat it step by step. A kill was *in mid-work*
if the files it left say that the dead process had begun something and not finished it.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import anyio.to_thread
from pika.exceptions import AMQPError

from sim.judges.checker import INVARIANTS, check
from sim.judges.evidence import SERVICES, Evidence, Ledgers, Published, collect, reading
from sim.judges.words import CONSUMED_BY
from tests.chaos.auditor import audited, declare_auditor, left_in, service_queues
from tests.chaos.client_log import ClientLog, read_commands
from tests.chaos.load import Load
from tests.chaos.outcome import Kill, Outcome, Plan
from tests.chaos.post_office import PostOffice, delivered, invariants, second_copies
from tests.chaos.shop import Shop, log_in, open_client
from tests.chaos.targets import TIERS_S, Cast, Process, Row, Scene, Watch, split, together
from tests.harness.mail_server import mail_server
from tests.harness.rabbitmq import RabbitMQ

DRAIN_S_MAX = 60.0
WATCH_S_MAX = 5.0
STEERED = 0.6
AT_START = 0.1
# RabbitMQ 3.10.8 on its own, killed within 0.3 s of a quorum queue's declaration, has a queue that
# takes nothing for ever afterwards; from 2 s on it is sound. What is tried here is a running shop.
QUEUE_SETTLES_S = 6.0

Say = Callable[[str], None]


async def run(plan: Plan, folder: Path, say: Say) -> Outcome:
    """Carry the plan out in ``folder``, which is empty, and judge."""
    async with AsyncExitStack() as stack:
        node, post, mail_url = None, None, ""
        if plan.broker == "rabbitmq":
            node = RabbitMQ()
            stack.callback(node.close)
            stack.callback(lambda: (folder / "rabbitmq.log").write_text(node.log()))
            await anyio.to_thread.run_sync(node.start)
        if plan.mail == "smtp":
            post = PostOffice(folder, plan.seed)
            stack.callback(post.close)
            mail_url = (await stack.enter_async_context(mail_server(state=post))).url
        cast = (split if plan.split else together)(folder, node, mail_url)
        stack.callback(_kill_all, cast)
        for row in cast.rows:
            if isinstance(row.process, Process):
                row.process.start()
            await anyio.to_thread.run_sync(row.process.wait_ready)
        declare_auditor(cast.broker_url())
        if node is not None:
            await anyio.sleep(QUEUE_SETTLES_S)
        return await _Campaign(plan, folder, cast, post, say).run()


def _kill_all(cast: Cast) -> None:
    for row in cast.rows:
        if isinstance(row.process, Process) and not row.process.died():
            row.process.kill()


class _Campaign:
    def __init__(
        self, plan: Plan, folder: Path, cast: Cast, post: PostOffice | None, say: Say
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._cast = cast
        self._post = post
        self._say = say
        self._rng = random.Random(plan.seed)
        self._kills: list[Kill] = []
        self._troubles: list[str] = []
        self._log_file = folder / "clients.log"
        self._queues = service_queues(TIERS_S)

    async def run(self) -> Outcome:
        log = ClientLog(self._log_file)
        async with open_client(self._cast.url) as http:
            shop = Shop(http, log, log_in(self._folder))
            load = Load(shop, self._plan.seed, self._plan.clients)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load.run)
                try:
                    await self._kill_all_along(shop)
                finally:
                    load.stop()
            for row in self._cast.rows:
                await anyio.to_thread.run_sync(row.process.wait_ready)
            await shop.come_back()
        log.close()
        self._troubles += [f"{name}: never told what became of it" for name in shop.unanswered]
        rest_s = await self._come_to_rest()
        evidence = await self._collect()
        post = self._post
        return Outcome(
            plan=self._plan,
            targets=tuple(row.name for row in self._cast.rows),
            kills=self._kills,
            accepted_orders=shop.accepted_orders,
            cut_off=shop.cut_off,
            rest_s=rest_s,
            interrupted=0 if post is None else post.interrupted.total(),
            second_copies=second_copies(evidence),
            troubles=self._troubles,
            findings=check(evidence, INVARIANTS if post is None else invariants(post.interrupted)),
        )

    # Killing

    async def _kill_all_along(self, shop: Shop) -> None:
        plan, rng = self._plan, self._rng
        order = self._who_when()
        number = 0
        while number < plan.kills or (self._missed() and number < 2 * plan.kills):
            row = next(order) if number < plan.kills else rng.choice(self._missed())
            number += 1
            at_start = bool(self._kills) and rng.random() < AT_START
            steered = not at_start and rng.random() < STEERED
            if at_start:
                await anyio.sleep(rng.uniform(0, 0.3))
            else:
                await anyio.sleep(rng.uniform(0.05, plan.pause_s_max))
            watch = rng.choice(row.watches) if steered else None
            delay_s = rng.choice((0.0, 0.0, rng.uniform(0, 0.005)))
            await self._kill(row, watch, delay_s, shop)
            if number % 20 == 0:
                self._say(f"{number} kills, {shop.accepted_orders} orders accepted")
        while shop.accepted_orders < plan.orders and not self._troubles:  # noqa: ASYNC110
            await anyio.sleep(0.1)

    def _missed(self) -> list[Row]:
        """Return the targets that no kill has hit in mid-work yet."""
        hit = {kill.target for kill in self._kills if kill.unfinished}
        return [row for row in self._cast.rows if row.name not in hit]

    def _who_when(self) -> Iterator[Row]:
        """Give every target its turn, shuffled: none is left out of a short campaign."""
        for number in count():
            turn = [row for row in self._cast.rows if number % row.every == 0]
            self._rng.shuffle(turn)
            yield from turn

    async def _kill(self, row: Row, watch: Watch | None, delay_s: float, shop: Shop) -> None:
        process = row.process
        died = process.died()
        if died is not None:
            self._troubles.append(died)
        seen = await anyio.to_thread.run_sync(_wait_for, self._folder, watch, delay_s, process.kill)
        scene = Scene(self._folder, process.began_ms, shop.in_flight)
        if row.sends_mail and self._post is not None:
            self._post.sender_killed()
        unfinished = await anyio.to_thread.run_sync(row.unfinished, scene)
        begun = time.monotonic()
        await anyio.to_thread.run_sync(process.start)
        recovery_s: float | None = None
        if self._rng.random() >= AT_START:
            await anyio.to_thread.run_sync(process.wait_ready)
            recovery_s = time.monotonic() - begun
        self._kills.append(Kill(row.name, seen, unfinished, recovery_s))

    # Coming to rest

    async def _come_to_rest(self) -> float:
        """Wait until nobody has anything left to do; return how long it took."""
        began = time.monotonic()
        left = await self._until_nothing_is_left(partial(_unsettled, self._folder))
        look = partial(_queued, self._cast.broker_url(), self._queues)
        queued = await self._until_nothing_is_left(look)
        self._troubles += [f"not at rest after {DRAIN_S_MAX:g} s: {what}" for what in left[:10]]
        self._troubles += [f"left in the broker: {what}" for what in queued]
        return time.monotonic() - began

    async def _collect(self) -> Evidence:
        """Ask the broker, stop everybody, and read what there is."""
        url = self._cast.broker_url()
        queues: dict[str, int] = {}
        published: list[Published] = []
        try:
            queues = await anyio.to_thread.run_sync(left_in, url, self._queues)
            published = await anyio.to_thread.run_sync(audited, url)
        except AMQPError as error:
            self._troubles.append(f"the broker cannot be asked: {error!r}")
        for row in reversed(self._cast.rows):
            await self._stop(row)
        ledgers = Ledgers.in_one(self._folder)
        evidence = collect(read_commands(self._log_file), ledgers, queues, published)
        if self._post is not None:
            evidence.mails = delivered(self._folder, evidence)
        return evidence

    async def _until_nothing_is_left(self, look: Callable[[], list[str]]) -> list[str]:
        limit = time.monotonic() + DRAIN_S_MAX
        left = await anyio.to_thread.run_sync(look)
        while left and time.monotonic() < limit and not self._deaths():
            await anyio.sleep(0.2)
            left = await anyio.to_thread.run_sync(look)
        return left

    def _deaths(self) -> list[str]:
        return [died for row in self._cast.rows if (died := row.process.died())]

    async def _stop(self, row: Row) -> None:
        if not isinstance(row.process, Process):
            return
        if (died := row.process.died()) is not None:
            self._troubles.append(died)
        elif code := await anyio.to_thread.run_sync(row.process.stop):
            self._troubles.append(f"{row.name}: told to stop, it ended with exit code {code}")


def _wait_for(folder: Path, watch: Watch | None, delay_s: float, kill: Callable[[], None]) -> bool:
    """Kill a moment after what is watched has changed, or at once; return whether it had."""
    if watch is None:
        kill()
        return False
    file, query = watch
    with reading(folder / file) as database:
        before, changed = _value(database, query), False
        limit = time.monotonic() + WATCH_S_MAX
        while not changed and time.monotonic() < limit:
            time.sleep(0.001)
            changed = _value(database, query) != before
        time.sleep(delay_s)
        kill()
    return changed


def _value(database: sqlite3.Connection, query: str) -> object:
    with suppress(sqlite3.OperationalError):  # it has not made its tables yet, or is locked
        return database.execute(query).fetchone()
    return None


def _unsettled(folder: Path) -> list[str]:
    """Say what the services still have to do, by their files."""
    with reading(folder / "orders.db") as orders:
        events = orders.execute("SELECT event_id, type FROM events").fetchall()
        left = [f"outbox {row}" for row in orders.execute("SELECT position FROM outbox")]
        due = orders.execute("SELECT order_id FROM order_list WHERE refund_due").fetchall()
        left += [f"refund due {row}" for row in due]
    for service in SERVICES:
        with reading(folder / f"{service}.db") as database:
            states = dict(database.execute("SELECT message_id, state FROM inbox"))
        left += [
            f"{service}: {kind} {event_id} is {states.get(event_id)}"
            for event_id, kind in events
            if kind in CONSUMED_BY[service] and states.get(event_id) != "done"
        ]
    with reading(folder / "payment.db") as payment:
        left += [f"call {row}" for row in payment.execute("SELECT key FROM calls")]
    return left


def _queued(url: str, queues: list[str]) -> list[str]:
    with suppress(AMQPError, OSError):
        return [f"{queue}: {count}" for queue, count in left_in(url, queues).items() if count]
    return ["the broker cannot be asked"]
