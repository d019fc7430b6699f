"""Long polls wake by the commit, are counted, bounded, and never left behind."""

import anyio
import pytest

from actors.order_events.wakeups import ALL, Wakeups
from runtime.errors import Unavailable


async def test_a_commit_wakes_those_who_watch_its_order_and_those_who_watch_all() -> None:
    wakeups = Wakeups()
    with (
        wakeups.watch("a") as one,
        wakeups.watch("a") as two,
        wakeups.watch("b") as other,
        wakeups.watch(ALL) as everything,
    ):
        wakeups.notify("a")
        assert (one.is_set(), two.is_set(), everything.is_set()) == (True, True, True)
        assert not other.is_set()
        assert wakeups.watching == 4
    assert wakeups.watching == 0
    assert wakeups._watchers == {}


async def test_watchers_are_bounded() -> None:
    wakeups = Wakeups(watchers_max=1)
    with wakeups.watch("a"):
        with pytest.raises(Unavailable), wakeups.watch("b"):
            pass
        assert wakeups.watching == 1
    with wakeups.watch("b"):
        pass


async def test_a_cancelled_watcher_leaves_nothing() -> None:
    wakeups = Wakeups()

    async def wait() -> None:
        with wakeups.watch("a") as committed:
            await committed.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert wakeups.watching == 1
        tasks.cancel_scope.cancel()
    assert (wakeups.watching, wakeups._watchers) == (0, {})


async def test_nobody_waits_once_it_is_closed() -> None:
    wakeups = Wakeups()
    with wakeups.watch("a") as before:
        wakeups.close()
        assert before.is_set()
    with wakeups.watch("a") as after:
        assert after.is_set()
