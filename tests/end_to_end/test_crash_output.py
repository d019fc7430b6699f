"""A process that crashes says where, and nothing of those it was working for.

Tracebacks are asked for, Python's fault handler and asyncio's debug mode are on, everything is
logged: whatever may be printed is. Orders are under way when it happens.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.end_to_end.test_canaries import CUSTOMER, HOME, PERSONAL, card
from tests.harness.canaries import Canaries
from tests.harness.command import FREE_PORTS, Serving
from tests.harness.customer import client_of
from tests.harness.faulty_disk import Fault, injected, need_strace
from tests.harness.waiting import until

NUMBER = "4242424242424242"
BODY: dict[str, Any] = {
    "customer": CUSTOMER,
    "items": [{"sku": "MUG-1", "quantity": 1}],
    "shipping_address": HOME,
    "payment": card(NUMBER),
}
LOUD = {"PYTHONFAULTHANDLER": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "default"}
SETTINGS = ("log.level=debug", "log.format=json", "payment.hold_s=0", "shipping.hold_s=0")


@contextmanager
def crashing(folder: Path) -> Iterator[tuple[Serving, str]]:
    """Run a system that prints all that it can print."""
    chosen = [part for setting in (*SETTINGS, "api.rate_per_min=0") for part in ("--set", setting)]
    command = Serving(["--traceback", *FREE_PORTS, *chosen, "up"], folder, **LOUD)
    try:
        yield command, command.wait_for("ready in").split()[-1]
    finally:
        command.close()


async def buy(url: str, command: Serving) -> None:
    """Place orders until the process is gone."""
    async with client_of(url) as client:
        with suppress(httpx.TransportError):
            while command.runs():
                await client.post("/v1/orders", json=BODY)


def core_limits(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (core,) = (line for line in lines if line.startswith("Max core file size"))
    return core.split()[4:6]


@pytest.fixture
def canaries() -> Canaries:
    return Canaries(PERSONAL)


async def test_a_traceback_after_a_disk_error_names_nobody(
    tmp_path: Path, canaries: Canaries
) -> None:
    need_strace()
    with crashing(tmp_path) as (command, url):
        fault = Fault("fdatasync", "error=EIO", "8", tmp_path / "data" / "orders.db-wal")
        async with (
            injected(command.pid, fault, tmp_path / "strace.log"),
            anyio.create_task_group() as tasks,
        ):
            for _ in range(4):
                tasks.start_soon(buy, url, command)
        assert command.ended() == 74
    assert "Traceback" in command.output
    assert "StoreBroken" in command.output
    assert '"type":"order-created"' in command.output, "it was working for somebody"
    assert canaries.in_text([command.output], "printed") == []
    assert canaries.escaped(tmp_path / "data") == []


async def test_a_fault_dump_names_nobody_and_leaves_no_core(
    tmp_path: Path, canaries: Canaries
) -> None:
    with crashing(tmp_path) as (command, url):
        assert core_limits(command.pid) == ["0", "0"], "a dump would hold all that passes through"
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(buy, url, command)
            await until((tmp_path / "data" / "mail").exists)
            command.signal(signal.SIGABRT)
        assert command.ended() == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in command.output
    assert '"type":"order-created"' in command.output, "it was working for somebody"
    assert canaries.in_text([command.output], "printed") == []
    assert canaries.escaped(tmp_path / "data") == []
    assert [name for name in os.listdir(tmp_path) if name.startswith("core")] == []
