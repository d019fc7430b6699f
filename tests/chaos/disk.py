"""Orders while the disk fails: an error at a write or at a sync ends the process, and nothing else.

As in a campaign of kills there are customers, and the ledgers are compared at the end. But what
ends a process here is one system call that fails, the n-th from some moment on, of one file; and
how it ends is looked at: soon, with the code that says so, and with a word about the file.
"""

import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import msgspec

from actors.cli import EX_IOERR
from sim.history import Answered, Sent
from sim.judges.checker import Finding, check
from sim.judges.evidence import Ledgers, collect
from tests.chaos.auditor import audited, declare_auditor, left_in, service_queues
from tests.chaos.campaign import _queued, _unsettled
from tests.chaos.client_log import ClientLog, read_commands
from tests.chaos.load import Load
from tests.chaos.shop import Shop, log_in, open_client
from tests.chaos.targets import TIERS_S, Cast, Process
from tests.harness.faulty_disk import Fault, injected
from tests.harness.system import order_body

REST_S_MAX = 60.0
STRIKE_S_MAX = 60.0
OWNERS = {
    "orders.db": "order-events",
    "payment.db": "payment",
    "sandbox-provider.db": "payment",
    "shipping.db": "shipping",
    "carrier.db": "shipping",
    "notification.db": "notification",
    "broker.db": "broker",
}
# What so few orders may not have given an occasion for: refunds, requests cut off, ...
SELDOM_EVALUATED_MAX = 6


class Struck(msgspec.Struct, frozen=True):
    """What a failed call led to: the process ended ``exit_s`` after it, and told ``said``."""

    fault: str
    code: int
    exit_s: float
    said: str


class DiskCampaign:
    """A running system under load, made by `campaign`; ``http`` is a customer's client."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        cast: Cast,
        shop: Shop,
        http: httpx.AsyncClient,
        log: ClientLog,
    ) -> None:
        self.folder = folder
        self.logs = logs
        self.cast = cast
        self.shop = shop
        self.http = http
        self._log = log
        self._orders_tried = 0

    async def try_an_order(self) -> httpx.Response:
        """Ask once, without a key, for an order; the log of all customers knows of it."""
        self._orders_tried += 1
        name = f"Customer probe-{self._orders_tried}"
        body = order_body()
        body["customer"]["name"] = name
        self._log.write(Sent(name, 1, "place", "", name, False, body))
        answer = await self.http.post("/v1/orders", json=body)
        self._log.write(Answered(name, 1, answer.status_code, answer.json()))
        return answer

    def process(self, file: str = "orders.db") -> Process:
        """Return the process that owns the file."""
        named = {row.name: row.process for row in self.cast.rows}
        process = named.get(OWNERS[file]) or named["up"]
        assert isinstance(process, Process), "a process of ours"
        return process

    async def strike(self, file: str, call: str, number: int) -> Struck:
        """Fail the ``number``-th ``call`` for the log of ``file``; start what ended again."""
        process = self.process(file)
        fault = Fault(call, "error=EIO", str(number), self.folder / f"{file}-wal")
        async with injected(pid(process), fault, self.logs / "strace.log") as injection:
            with anyio.move_on_after(STRIKE_S_MAX):
                while exit_code(process) is None:  # noqa: ASYNC110  # a process has no event
                    await anyio.sleep(0.005)
            ended_at = time.time()
        code = exit_code(process)
        assert code is not None, f"{fault}: nothing ended; {injection.hits()}"
        process_said = process.said()
        process.start()
        await anyio.to_thread.run_sync(process.wait_ready)
        return Struck(str(fault), code, ended_at - injection.hits()[0], process_said)

    async def settle(self) -> list[Finding]:
        """Wait until nothing is left to do, stop everything, and compare the ledgers."""
        url, queues = self.cast.broker_url(), service_queues(TIERS_S)

        def left() -> list[str]:
            return _unsettled(self.folder) or _queued(url, queues)

        limit = time.monotonic() + REST_S_MAX
        while rest := await anyio.to_thread.run_sync(left):
            assert time.monotonic() < limit, f"not at rest: {rest[:10]}"
            await anyio.sleep(0.2)
        counts = await anyio.to_thread.run_sync(left_in, url, queues)
        published = await anyio.to_thread.run_sync(audited, url)
        for row in reversed(self.cast.rows):
            assert isinstance(row.process, Process)
            assert await anyio.to_thread.run_sync(row.process.stop) == 0, row.process.said()
        commands = read_commands(self.logs / "clients.log")
        return check(collect(commands, Ledgers.in_one(self.folder), counts, published))


@asynccontextmanager
async def campaign(
    folder: Path, logs: Path, cast: Cast, *, seed: int, clients: int = 6
) -> AsyncIterator[DiskCampaign]:
    """Run a system with customers in ``folder`` until the block ends; then they finish.

    ``logs`` is for the customers' own records, on a disk that does not fail.
    """
    with ExitStack() as stack:
        for row in cast.rows:
            assert isinstance(row.process, Process)
            stack.callback(_end, row.process)
            row.process.start()
            await anyio.to_thread.run_sync(row.process.wait_ready)
        declare_auditor(cast.broker_url())
        log = ClientLog(logs / "clients.log")
        stack.callback(log.close)
        async with open_client(cast.url) as http:
            shop = Shop(http, log, log_in(folder))
            load = Load(shop, seed, clients)
            under_way = DiskCampaign(folder, logs, cast, shop, http, log)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load.run)
                try:
                    yield under_way
                finally:
                    load.stop()
            findings = await under_way.settle()
        _assert_green(findings)


def _assert_green(findings: list[Finding]) -> None:
    broken = [f"{one.name}: {one.breaches[:3]}" for one in findings if one.breaches]
    assert not broken, "\n".join(broken)
    idle = [one.name for one in findings if not one.cases]
    assert len(idle) <= SELDOM_EVALUATED_MAX < len(findings) / 4, f"never evaluated: {idle}"


def pid(process: Process) -> int:
    """Return its process id."""
    assert process._process is not None
    return process._process.pid


def exit_code(process: Process) -> int | None:
    """Return its exit code; None while it runs."""
    assert process._process is not None
    return process._process.poll()


def _end(process: Process) -> None:
    if exit_code(process) is None:
        process.kill()


def assert_ended_as_it_should(struck: Struck, path: Path, exit_s_max: float) -> None:
    """The process has ended soon, with the code for an I/O error, and has named the file."""
    assert struck.code == EX_IOERR, f"{struck.fault}: {struck.said}"
    assert struck.exit_s < exit_s_max, f"{struck.fault}: ended {struck.exit_s:.2f} s after it"
    assert f"error: {path.name}: the outcome of what was under way is unknown" in struck.said
    assert "start again: what was committed is found by its key" in struck.said
    assert "Traceback" not in struck.said
