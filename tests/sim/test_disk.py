"""Disks under crashes: what is told, what is kept, and what a power cut may take."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runtime.database import Database, open_database
from runtime.errors import EnvironmentUnready, StoreBroken, StoreUnavailable
from runtime.host import Host
from runtime.transaction import Transaction
from sim.disk import Arm, PowerCut, read_only
from sim.engine import Engine, engine
from sim.node import Node
from sim.seed import Seed
from sim.sqlite import Failure

SCHEMA = ("CREATE TABLE rows (number INTEGER PRIMARY KEY, padding BLOB)",)


class Machine:
    """A node whose process writes numbered rows, one a transaction, and notes what it is told."""

    def __init__(self, made: Engine) -> None:
        self.engine = made
        self.node = Node(made, "machine", self._boot)
        self.told: list[int] = []
        self.failures: list[str] = []
        self.next = 1

    async def _boot(self, _node: Node, host: Host) -> None:
        async with open_database(host.disk, "rows.db", SCHEMA) as database:
            while True:
                await self._write(database, self.next)
                self.next += 1

    async def _write(self, database: Database, number: int) -> None:
        def insert(tx: Transaction) -> None:
            tx.connection.execute(
                "INSERT OR IGNORE INTO rows VALUES (?, zeroblob(5000))", (number,)
            )

        try:
            await database.write(insert)
            self.told.append(number)
        except StoreUnavailable as error:
            self.failures.append(str(error))

    def kept(self) -> list[int]:
        with read_only(self.node.storage.folder / "rows.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return [row[0] for row in connection.execute("SELECT number FROM rows ORDER BY 1")]


def play(work: Callable[[Machine], Coroutine[Any, Any, None]], seed: int = 1) -> Machine:
    with engine(Seed(seed)) as made:
        machine = Machine(made)
        machine.node.restart_s = 1e9

        async def begin() -> None:
            machine.node.start()
            await work(machine)

        made.run(begin())
        return machine


def test_a_killed_process_leaves_everything_it_was_told_and_perhaps_one_more() -> None:
    untold = 0

    async def work(machine: Machine) -> None:
        nonlocal untold
        await asyncio.sleep(0.5)
        machine.node.kill()
        kept = machine.kept()
        assert kept[: len(machine.told)] == machine.told
        assert len(kept) - len(machine.told) in (0, 1)
        untold += len(kept) - len(machine.told)

    for seed in range(20):
        play(work, seed)
    assert untold > 0  # committed, but not told: reached by some seeds


@pytest.mark.parametrize("damage", ["none", "cut", "flip"])
def test_a_power_cut_at_a_commit_leaves_a_whole_prefix(damage: Any) -> None:
    lost = 0

    async def work(machine: Machine) -> None:
        nonlocal lost
        await asyncio.sleep(0.2)
        storage = machine.node.storage
        storage.arms.append(Arm(left=2, moment="after", what=PowerCut(damage), only="COMMIT"))
        await asyncio.sleep(1)
        assert not machine.node.up
        kept = machine.kept()
        assert kept == list(range(1, len(kept) + 1))
        assert set(machine.told) <= set(kept)
        lost += machine.next not in kept

    for seed in range(15):
        play(work, seed)
    assert (lost > 0) == (damage != "none")


def test_a_power_cut_inside_a_transaction_leaves_nothing_of_it() -> None:
    async def work(machine: Machine) -> None:
        await asyncio.sleep(0.2)
        arm = Arm(left=1, moment="after", what=PowerCut(), only="INSERT")
        machine.node.storage.arms.append(arm)
        await asyncio.sleep(1)
        assert machine.node.storage.fired == ["power cut after INSERT"]
        assert machine.kept() == machine.told

    play(work)


def test_a_machine_that_lost_power_at_a_statement_comes_back() -> None:
    """The cut is noticed in the victim's own context, where a timer would die with it."""

    async def work(machine: Machine) -> None:
        await asyncio.sleep(0.2)
        machine.node.restart_s = 0.5
        machine.node.storage.arms.append(Arm(left=1, moment="before", what=PowerCut()))
        await asyncio.sleep(0.1)
        assert machine.node.ended == ["power cut"]
        assert not machine.node.up
        told = len(machine.told)
        await asyncio.sleep(1)
        assert machine.node.up
        assert len(machine.told) > told

    play(work)


def test_a_full_disk_at_the_commit_keeps_nothing_and_says_so() -> None:
    async def work(machine: Machine) -> None:
        await asyncio.sleep(0.2)
        arm = Arm(left=1, moment="before", what=Failure("SQLITE_FULL"), only="COMMIT")
        machine.node.storage.arms.append(arm)
        await asyncio.sleep(0.2)
        (failure,) = machine.failures
        assert "nothing was kept" in failure
        assert machine.node.up
        machine.node.kill()
        lost = set(range(1, machine.next)) - set(machine.kept())
        assert len(lost) == 1

    play(work)


def test_an_error_after_the_commit_ends_the_process_and_the_row_is_there() -> None:
    async def work(machine: Machine) -> None:
        await asyncio.sleep(0.2)
        arm = Arm(left=1, moment="after", what=Failure("SQLITE_IOERR"), only="COMMIT")
        machine.node.storage.arms.append(arm)
        await asyncio.sleep(1)
        assert machine.node.ended == [f"exited: {StoreBroken.__name__}"]
        assert machine.kept() == [*machine.told, machine.next]

    play(work)


def test_the_next_incarnation_finds_the_image_and_nothing_that_was_written_later() -> None:
    async def work(machine: Machine) -> None:
        await asyncio.sleep(0.3)
        before = machine.node.storage.folder
        dead = sqlite3.connect(before / "rows.db", isolation_level=None)
        machine.node.kill()
        dead.execute("INSERT INTO rows VALUES (99999, NULL)")
        machine.node.start()
        await asyncio.sleep(0.3)
        machine.node.kill()
        assert 99999 not in machine.kept()
        dead.close()

    play(work)


def test_a_lock_is_released_by_death_and_refused_while_it_is_held() -> None:
    async def work(machine: Machine) -> None:
        await asyncio.sleep(0.1)
        with pytest.raises(EnvironmentUnready, match="locked"):
            machine.node.storage.take_lock("rows.db")
        machine.node.kill()
        machine.node.start()
        await asyncio.sleep(0.3)
        assert machine.node.ended == ["killed"]

    play(work)
