"""However an opening ends, it ends: nobody waits for ever, no thread keeps the process alive."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from runtime.database import open_database
from runtime.errors import StoreBroken
from runtime.groups import Group, Groups
from runtime.host import production_host
from runtime.transaction import Transaction
from tests.harness.waiting import until

INTERRUPTED = """\
import asyncio, logging, sys, threading, warnings
from pathlib import Path
import anyio
from runtime.database import open_database
from runtime.errors import StoreBroken, StoreUnavailable
from runtime.host import production_host

class Interrupted(asyncio.SelectorEventLoop):
    turns = at = 0

    def _run_once(self):
        Interrupted.turns += 1
        if Interrupted.turns == Interrupted.at:
            {interrupt}
        super()._run_once()

async def use(folder):
    disk = production_host(folder).disk
    schema = ["CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY)"]
    insert = lambda tx: tx.connection.execute("INSERT INTO notes DEFAULT VALUES")
    async with open_database(disk, "a.db", schema, checkpoint_idle_s=0.001) as database:
        try:
            for _ in range(5):
                await database.write(insert)
                await database.read(lambda reader: reader.execute("SELECT * FROM notes").fetchall())
        finally:
            try:
                await database.write(insert)
            except (StoreUnavailable, StoreBroken):
                pass

logging.disable()
warnings.simplefilter("ignore")
threading.excepthook = lambda caught: None  # aiosqlite's, when the loop is gone
while Interrupted.turns >= Interrupted.at:
    Interrupted.turns, Interrupted.at = 0, Interrupted.at + 1
    try:
        anyio.run(use, Path(sys.argv[1]), backend_options={{"loop_factory": Interrupted}})
    except (KeyboardInterrupt, asyncio.CancelledError, StoreBroken):
        pass
print(Interrupted.at)
"""


@pytest.mark.parametrize(
    "interrupt",
    ["raise KeyboardInterrupt", "[task.cancel() for task in asyncio.all_tasks(self)]"],
    ids=["ctrl-c", "every task cancelled"],
)
def test_a_process_interrupted_at_any_moment_ends(tmp_path: Path, interrupt: str) -> None:
    program = INTERRUPTED.format(interrupt=interrupt)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stdout) > 20


async def test_an_opening_that_fails_half_way_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("no reader today")

    before = set(threading.enumerate())
    monkeypatch.setattr("runtime.database.set_up_reader", fail)
    with pytest.raises(sqlite3.OperationalError, match="no reader today"):
        async with open_database(production_host(tmp_path).disk, "a.db", []):
            raise AssertionError("it is not open")
    await until(lambda: set(threading.enumerate()) <= before)


async def test_another_file_that_breaks_is_told_as_it_is_not_in_a_group(tmp_path: Path) -> None:
    with pytest.raises(StoreBroken, match=r"b\.db"):
        async with open_database(production_host(tmp_path).disk, "a.db", []):
            raise StoreBroken("b.db: the outcome is unknown")


async def test_who_writes_after_the_owner_was_cancelled_from_outside_is_told() -> None:
    started = anyio.Event()

    async def never(group: Group[Transaction]) -> None:
        started.set()
        await anyio.sleep_forever()

    works = Groups[Transaction]("a.db", never, 1)
    owner = asyncio.ensure_future(works.run())
    under_way, queued = works.enqueue(id), works.enqueue(id)
    await started.wait()
    owner.cancel()
    with anyio.fail_after(20):
        for slot in (under_way, queued):
            with pytest.raises(StoreBroken, match="outcome is unknown: CancelledError"):
                await slot.result()
    with pytest.raises(StoreBroken):
        await owner
    with pytest.raises(StoreBroken):
        works.enqueue(id)


async def test_an_idle_owner_that_was_cancelled_from_outside_takes_nothing_more() -> None:
    async def never(group: Group[Transaction]) -> None:
        raise AssertionError("there is nothing to do")

    works = Groups[Transaction]("a.db", never, 1)
    owner = asyncio.ensure_future(works.run())
    await anyio.lowlevel.checkpoint()
    owner.cancel()
    with pytest.raises(StoreBroken):
        await owner
    with pytest.raises(StoreBroken):
        works.enqueue(id)
