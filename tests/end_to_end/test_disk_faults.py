"""The disk fails under load: at each file, at a sync, at a write, when it is full, when it is slow.

An error of the disk ends the process that got it, which cannot know what is committed; the next one
finds out, by key. A full or a slow disk ends nobody. The ledgers agree whatever happened.
"""

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

from tests.chaos.disk import (
    DiskCampaign,
    assert_ended_as_it_should,
    campaign,
    exit_code,
    pid,
)
from tests.chaos.targets import Cast, split, together
from tests.harness.faulty_disk import Fault, fill, injected, need_strace, small_disk
from tests.harness.waiting import eventually, until

# A second, if nothing else runs on the machine.
EXIT_S_MAX = 15.0
ANSWER_S_MAX = 10.0

# The n-th sync or write of the log of a file, from a moment in the middle of work.
STRIKES = (
    *(("orders.db", "fdatasync", number) for number in (1, 2, 3)),
    *(("orders.db", "pwrite64", number) for number in (1, 6)),
    *(("payment.db", "fdatasync", 1), ("payment.db", "fdatasync", 4)),
    *(("sandbox-provider.db", "fdatasync", 1), ("sandbox-provider.db", "pwrite64", 2)),
    *(("shipping.db", "fdatasync", 2), ("carrier.db", "fdatasync", 1)),
    *(("notification.db", "fdatasync", 1), ("notification.db", "pwrite64", 3)),
    *(("broker.db", "fdatasync", 1), ("broker.db", "fdatasync", 5)),
)
STRIKES_APART = (
    *(("orders.db", "fdatasync", 1), ("payment.db", "fdatasync", 2)),
    *(("carrier.db", "pwrite64", 1), ("broker.db", "fdatasync", 2)),
)


@pytest.mark.parametrize(
    ("make", "strikes"),
    [(together, STRIKES), (split, STRIKES_APART)],
    ids=["together", "split"],
)
async def test_an_io_error_ends_the_process_and_no_answer_was_wrong(
    tmp_path: Path, make: Callable[..., Cast], strikes: tuple[tuple[str, str, int], ...]
) -> None:
    need_strace()
    async with campaign(tmp_path, tmp_path, make(tmp_path, None), seed=31) as running:
        for file, call, number in strikes:
            struck = await running.strike(file, call, number)
            assert_ended_as_it_should(struck, tmp_path / file, EXIT_S_MAX)


class Probe:
    """Somebody who tries a write and a read now and then, besides the customers."""

    def __init__(self, running: DiskCampaign) -> None:
        self._running = running
        self._http = running.http
        self._token = ""
        self._order = ""

    async def places(self) -> httpx.Response:
        return await self._running.try_an_order()

    async def begins(self) -> None:
        placed = (await self.places()).json()
        self._order, self._token = placed["id"], placed["access_token"]

    async def reads(self) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}"}
        return await self._http.get(f"/v1/orders/{self._order}", headers=headers)

    async def served(self) -> bool:
        return (await self.places()).status_code == 201

    async def sees_that_there_is_no_room(self) -> None:
        """Writes are refused at once, reads are answered, and readiness says why."""
        began = time.monotonic()
        refused = await self.places()
        assert time.monotonic() - began < ANSWER_S_MAX
        assert refused.status_code == 503, refused.text
        assert refused.json()["type"].endswith("/problems/store-unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await self.reads()).status_code == 200
        assert (await self._http.get("/healthz")).status_code == 200
        ready = await self._http.get("/readyz")
        assert ready.status_code == 503
        assert "cannot commit: database or disk is full" in ready.json()["checks"]["store"]


async def test_a_disk_without_room_refuses_writes_and_recovers_by_itself(tmp_path: Path) -> None:
    """It holds the databases, the broker's journal, the mails and the log of the process."""
    with small_disk(tmp_path / "disk", "16m") as disk:
        cast = together(disk, None)
        async with campaign(disk, tmp_path, cast, seed=32) as running:
            probe = Probe(running)
            await probe.begins()
            for full_s in (0.5, 4.0):
                filler = fill(disk)
                with anyio.move_on_after(full_s):
                    while True:
                        await probe.sees_that_there_is_no_room()
                        await anyio.sleep(0.2)
                filler.unlink()
                await eventually(probe.served)
            assert exit_code(running.process()) is None


async def test_errors_that_are_no_reason_to_end_are_outlived(tmp_path: Path) -> None:
    """No room for any database; mails that cannot be synced."""
    need_strace()
    async with campaign(tmp_path, tmp_path, together(tmp_path, None), seed=33) as running:
        probe, process, log = Probe(running), running.process(), tmp_path / "strace.log"
        await probe.begins()
        async with injected(pid(process), Fault("pwrite64", "error=ENOSPC"), log) as full:
            await until(full.hits)
            await probe.sees_that_there_is_no_room()
        await eventually(probe.served)
        async with injected(pid(process), Fault("fsync", "error=EIO"), log) as unsynced:
            await until(lambda: len(unsynced.hits()) > 2)
        await eventually(probe.served)
        assert exit_code(process) is None


async def test_a_slow_disk_delays_nobody_who_does_not_wait_for_it(tmp_path: Path) -> None:
    need_strace()
    slow = Fault("fdatasync", "delay_enter=300000")
    async with campaign(tmp_path, tmp_path, together(tmp_path, None), seed=34) as running:
        process, http = running.process(), running.http
        placed_before = running.shop.accepted_orders
        waits: list[float] = []
        async with injected(pid(process), slow, tmp_path / "strace.log") as injection:
            with anyio.move_on_after(5.0):
                while True:
                    began = time.monotonic()
                    assert (await http.get("/healthz")).status_code == 200
                    waits.append(time.monotonic() - began)
                    await anyio.sleep(0.05)
            metrics = (await http.get("/metrics")).text
        assert len(injection.hits()) > 10
        assert running.shop.accepted_orders > placed_before
        # Each commit takes 0.3 s and more: who is late by less has not waited for one.
        assert sorted(waits)[len(waits) // 2] < 0.25, waits
        (lag,) = (line for line in metrics.splitlines() if line.startswith("ordermill_event_loop"))
        assert float(lag.split()[1]) < 0.25
        assert exit_code(process) is None
