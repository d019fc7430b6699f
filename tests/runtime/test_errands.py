"""No deed without its rows in the audit, whoever stops waiting for it."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from runtime import audit
from runtime.audit import Deed
from runtime.database import open_database
from runtime.errands import Done, Errands, Progress
from runtime.errors import Rejection, Unavailable
from runtime.host import production_host
from tests.harness.running import running
from tests.harness.waiting import eventually

DEED = Deed("operator", "replay", "payment: evt_1", "fixed the card table")


@asynccontextmanager
async def _desk(folder: Path) -> AsyncIterator[Errands]:
    host = production_host(folder)
    async with open_database(host.disk, "some.db", (audit.SCHEMA,)) as database:
        errands = Errands("some", database, host.clock)
        async with running(errands.child().run):
            yield errands


async def _outcomes(errands: Errands) -> list[str]:
    return [entry.outcome for entry in reversed(await errands.audit(100))]


async def _done() -> Done:
    return Done("answer", "replayed 1")


async def test_a_deed_is_noted_before_and_after(tmp_path: Path) -> None:
    async with _desk(tmp_path) as errands:
        assert await errands.carry_out(DEED, _done) == "answer"
        (after, before) = await errands.audit(10)
        assert (before.outcome, after.outcome) == ("started", "replayed 1")
        assert (after.actor, after.action, after.target, after.reason) == (
            *("operator", "replay", "payment: evt_1"),
            "fixed the card table",
        )


async def test_how_it_failed_is_noted(tmp_path: Path) -> None:
    async def refused() -> Done:
        raise Rejection("not-settled", "Not yet.")

    async def away() -> Done:
        raise Unavailable("the broker is away")

    async with _desk(tmp_path) as errands:
        with pytest.raises(Rejection):
            await errands.carry_out(DEED, refused)
        with pytest.raises(Unavailable):
            await errands.carry_out(DEED, away)
        outcomes = ["started", "refused: not-settled", "started", "failed: Unavailable"]
        assert await _outcomes(errands) == outcomes


async def test_an_operator_who_goes_away_stops_nothing(tmp_path: Path) -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def slow() -> Done:
        begun.set()
        await go_on.wait()
        return Done(None, "replayed 3")

    async with _desk(tmp_path) as errands:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(errands.carry_out, DEED, slow)
            await begun.wait()
            tasks.cancel_scope.cancel()
        go_on.set()

        async def ended() -> bool:
            return await _outcomes(errands) == ["started", "replayed 3"]

        await eventually(ended)


async def test_the_audit_is_append_only(tmp_path: Path) -> None:
    async with _desk(tmp_path) as errands:
        await errands.carry_out(DEED, _done)
    connection = sqlite3.connect(tmp_path / "some.db")
    for harm in ("DELETE FROM audit", "UPDATE audit SET reason = ''"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(harm)
    connection.close()


async def test_a_long_work_goes_step_by_step_with_other_errands_in_between(tmp_path: Path) -> None:
    done: list[str] = []
    going, go_on = anyio.Event(), anyio.Event()

    async def step(name: str) -> int:
        done.append(name)
        if name == "first":
            going.set()
            await go_on.wait()
        return 2

    async def other() -> None:
        done.append("other")

    async with _desk(tmp_path) as errands:
        assert errands.progress() is None
        errands.begin(DEED, [partial(step, "first"), partial(step, "second")], 4)
        await going.wait()
        with pytest.raises(Rejection, match="Something else"):
            errands.begin(DEED, [], 0)
        errands.tell(other)
        go_on.set()
        progress = await eventually(_over(errands))
        assert done == ["first", "other", "second"]
        assert (progress.done, progress.state) == (4, "done")

        async def noted() -> bool:
            return await _outcomes(errands) == ["started", "done after 4 of 4"]

        await eventually(noted)


async def test_a_long_work_can_be_stopped_and_says_how_far_it_came(tmp_path: Path) -> None:
    going, go_on = anyio.Event(), anyio.Event()

    async def step() -> int:
        going.set()
        await go_on.wait()
        return 1

    async with _desk(tmp_path) as errands:
        assert errands.stop() is None
        errands.begin(DEED, [step, step, step], 3)
        await going.wait()
        stopped = errands.stop()
        assert stopped is not None
        assert (stopped.state, stopped.over) == ("stopping", False)
        go_on.set()
        progress = await eventually(_over(errands))
        assert (progress.done, progress.state) == (1, "stopped")
        assert progress.outcome == "stopped after 1 of 3"
        assert errands.stop() == progress, "what is over stays as it ended"


async def test_a_step_that_fails_ends_the_long_work(tmp_path: Path) -> None:
    async def step() -> int:
        return 1

    async def away() -> int:
        raise Unavailable("the broker is away")

    async with _desk(tmp_path) as errands:
        errands.begin(DEED, [step, away, step], 3)
        progress = await eventually(_over(errands))
        assert (progress.done, progress.state) == (1, "failed")

        async def noted() -> bool:
            return await _outcomes(errands) == ["started", "failed: Unavailable after 1 of 3"]

        await eventually(noted)
        errands.begin(DEED, [step], 1)
        assert (await eventually(_over(errands))).state == "done"


def _over(errands: Errands) -> Callable[[], Awaitable[Progress | None]]:
    async def look() -> Progress | None:
        progress = errands.progress()
        return progress if progress is not None and progress.over else None

    return look
