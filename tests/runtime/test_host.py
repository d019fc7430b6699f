import asyncio
import os
import random
import stat
import threading
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import ConfigurationError, EnvironmentUnready
from runtime.host import (
    Host,
    Ids,
    give_signal,
    is_locked,
    new_signal,
    production_host,
    wait_at_most,
)
from tests.harness.waiting import until


class StillClock:
    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return production_host(tmp_path / "data")


def test_the_data_folder_is_made_and_private(host: Host) -> None:
    assert stat.S_IMODE(host.disk.root.stat().st_mode) == 0o700


def test_durations_never_go_back(host: Host) -> None:
    first = host.clock.monotonic()
    assert host.clock.monotonic() >= first
    assert host.clock.wall() > 1_600_000_000


@settings(deadline=None)
@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=50), st.integers())
def test_ids_increase_even_when_the_clock_goes_back(times: list[float], seed: int) -> None:
    clock = StillClock(0.0)
    ids = Ids(clock, random.Random(seed))
    made = []
    for now in times:
        clock.now = now
        made.append(ids.new("ord"))
    assert made == sorted(set(made))
    assert all(len(text) == 30 and text.startswith("ord_") for text in made)


def test_the_same_seed_and_time_give_the_same_ids() -> None:
    one, two = (Ids(StillClock(1.7e9), random.Random(7)) for _ in range(2))
    assert [one.new("a") for _ in range(3)] == [two.new("a") for _ in range(3)]


def test_a_derived_id_depends_on_its_parts_and_where_they_end() -> None:
    assert Ids.derived("evt", "ab", "c", 1) == Ids.derived("evt", "ab", "c", 1)
    assert Ids.derived("evt", "ab", "c") != Ids.derived("evt", "a", "bc")
    assert Ids.derived("evt", "a").removeprefix("evt_") == Ids.derived("x", "a").removeprefix("x_")


def test_a_lock_is_held_once_and_can_be_given_back(host: Host) -> None:
    lock = host.disk.lock("store")
    with pytest.raises(ConfigurationError, match=r"store\.lock is locked"):
        host.disk.lock("store")
    lock.release()
    host.disk.lock("store").release()


async def test_a_file_is_replaced_as_a_whole(host: Host) -> None:
    assert await host.disk.read("mail/1") is None
    await host.disk.write_new("mail/1", b"one")
    await host.disk.write_new("mail/1", b"two")
    assert await host.disk.read("mail/1") == b"two"
    assert stat.S_IMODE((host.disk.root / "mail/1").stat().st_mode) == 0o600


async def test_a_write_that_fails_leaves_the_old_file(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.disk.write_new("mail/1", b"one")

    def fail(descriptor: int) -> None:
        raise OSError("planted")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="planted"):
        await host.disk.write_new("mail/1", b"two")
    assert await host.disk.read("mail/1") == b"one"


async def test_files_written_at_once_are_all_there_and_one_that_cannot_be_fails_alone(
    host: Host,
) -> None:
    (host.disk.root / "taken").write_bytes(b"no folder")
    failures: list[OSError] = []

    async def write(name: str, data: bytes) -> None:
        try:
            await host.disk.write_new(name, data)
        except OSError as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(32):
            tasks.start_soon(write, f"mail/{number:02}", b"%d" % number)
        tasks.start_soon(write, "taken/a", b"")
        tasks.start_soon(write, "mail/31", b"later")
    assert [await host.disk.read(f"mail/{number:02}") for number in range(31)] == [
        b"%d" % number for number in range(31)
    ]
    assert await host.disk.read("mail/31") == b"later"
    assert len(await host.disk.names("mail")) == 32
    assert len(os.listdir(host.disk.root / "mail")) == 32, "no draft stays"
    assert len(failures) == 1


class Syncing:
    """Instead of `os.fsync`: counts folders, and keeps the first file's writer until released."""

    def __init__(self) -> None:
        self.folders = 0
        self.begun = threading.Event()
        self.released = threading.Event()

    def __call__(self, descriptor: int) -> None:
        self.begun.set()
        assert self.released.wait(20)
        self.folders += stat.S_ISDIR(os.fstat(descriptor).st_mode)


async def test_files_that_wait_are_synced_together_and_a_cancelled_one_is_not_written(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing = Syncing()
    monkeypatch.setattr(os, "fsync", syncing)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.disk.write_new, "mail/first", b"")
        await until(syncing.begun.is_set)
        for number in range(32):
            tasks.start_soon(host.disk.write_new, f"mail/{number:02}", b"")
        with anyio.move_on_after(0.01) as scope:
            await host.disk.write_new("mail/cancelled", b"")
        assert scope.cancelled_caught
        syncing.released.set()
    assert await host.disk.names("mail") == [
        *(f"mail/{number:02}" for number in range(32)),
        "mail/first",
    ]
    assert syncing.folders == 2, "once for the first, and once for all that waited meanwhile"


async def test_of_several_writers_at_once_the_first_wins_and_no_draft_stays(host: Host) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(host.disk.write_once, "secrets/a", b"%d" % number)
    kept = await host.disk.read("secrets/a")
    await host.disk.write_once("secrets/a", b"late")
    assert await host.disk.read("secrets/a") == kept
    assert os.listdir(host.disk.root / "secrets") == ["a"]
    assert stat.S_IMODE((host.disk.root / "secrets/a").stat().st_mode) == 0o600


async def test_names_are_sorted_and_drafts_are_not_among_them(host: Host) -> None:
    assert await host.disk.names("mail") == []
    for name in ("b", "a", "c"):
        await host.disk.write_new(f"mail/{name}", b"")
    (host.disk.root / "mail/.d.draft").write_bytes(b"half")
    assert await host.disk.names("mail") == ["mail/a", "mail/b", "mail/c"]
    await host.disk.remove("mail/b")
    await host.disk.remove("mail/b")
    assert await host.disk.names("mail") == ["mail/a", "mail/c"]
    await host.disk.remove("mail/d")
    await host.disk.remove("nowhere/d")
    assert sorted(os.listdir(host.disk.root / "mail")) == ["a", "c"], "nor what a crash has left"


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/data"])
def test_a_data_folder_that_cannot_be_made_is_named(place: str) -> None:
    with pytest.raises(EnvironmentUnready, match=f"{place} cannot be made: ") as refused:
        production_host(Path(place))
    assert "data_dir" in refused.value.hint


def test_a_lock_that_cannot_be_made_is_named(host: Host) -> None:
    (host.disk.root / "a.db.lock").mkdir()
    with pytest.raises(EnvironmentUnready, match=r"a\.db\.lock cannot be made: Is a directory"):
        host.disk.lock("a.db")


def test_anybody_can_see_whether_a_file_is_locked(host: Host) -> None:
    path = host.disk.root / "a.db"
    assert not is_locked(path)
    lock = host.disk.lock("a.db")
    assert is_locked(path)
    lock.release()
    assert not is_locked(path)


async def test_a_listener_takes_a_free_port_and_accepts(host: Host) -> None:
    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.write(data)

    listener = await host.network.listen(Echo, "127.0.0.1", 0)
    async with await anyio.connect_tcp("127.0.0.1", listener.port) as stream:
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
        await listener.close()


async def test_a_signal_is_given_once() -> None:
    signal = new_signal()
    assert give_signal(signal)
    assert not give_signal(signal)
    await signal
    cancelled = new_signal()
    cancelled.cancel()
    assert not give_signal(cancelled)


async def test_a_pause_ends_when_its_time_is_up() -> None:
    event, began = anyio.Event(), anyio.current_time()
    await wait_at_most(event, 0.01)
    assert event.is_set()
    assert anyio.current_time() - began >= 0.01


async def test_a_pause_ends_as_soon_as_its_event_is_set() -> None:
    event = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_at_most, event, 3600.0)
            await anyio.wait_all_tasks_blocked()
            event.set()


async def test_a_pause_that_is_cancelled_leaves_no_timer() -> None:
    event = anyio.Event()
    with anyio.move_on_after(0):
        await wait_at_most(event, 0.01)
    await anyio.sleep(0.02)
    assert not event.is_set()
