"""Server-sent events: nothing missed, ended when there is nothing to come, stopped at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from actors.domain.event_json import EventJson
from actors.domain.events import Event
from actors.gateway import streams
from actors.gateway.context import Limits
from actors.gateway.streams import Streams
from actors.order_events.client import LocalOrderEvents
from runtime.http import HttpServer
from tests.harness.gateway import PAID, PREPARED, Placed, World, gateway_world
from tests.harness.running import running
from tests.harness.waiting import until


class Reader:
    """Collects the frames of one stream."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.ended = False

    def named(self, name: str) -> list[str]:
        return [frame for frame in self.frames if f"event: {name}\n" in frame + "\n"]

    def versions(self) -> list[int]:
        return [_event(frame).version for frame in self.named("order.event")]


def _event(frame: str) -> EventJson:
    line = next(line for line in frame.splitlines() if line.startswith("data: "))
    return msgspec.json.decode(line.removeprefix("data: "), type=EventJson)


@asynccontextmanager
async def served(world: World) -> AsyncIterator[httpx.AsyncClient]:
    server = HttpServer(world.app, "127.0.0.1", 0, stop_streams=world.streams.stop)
    async with running(server.run):
        base = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30.0) as client:
            yield client


async def follow(
    client: httpx.AsyncClient, placed: Placed, reader: Reader, query: str = "", **headers: str
) -> None:
    sent = {**placed.auth, **{name.replace("_", "-"): value for name, value in headers.items()}}
    path = f"{placed.path}/events/stream{query}"
    async with client.stream("GET", path, headers=sent) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        text = ""
        async for chunk in response.aiter_text():
            *frames, text = (text + chunk).split("\n\n")
            reader.frames.extend(frames)
    reader.ended = True


async def test_a_stream_shows_the_past_then_what_happens_and_ends_with_the_order(
    world: World,
) -> None:
    placed = await world.place()
    reader = Reader()
    async with served(world) as client, anyio.create_task_group() as group:
        group.start_soon(follow, client, placed, reader)
        await until(lambda: reader.versions() == [1])
        await world.advance(placed.id, *PREPARED)
        await until(lambda: reader.versions() == [1, 2, 3, 4, 5])
        assert not reader.ended
        await world.shipments.shipped(placed.id, "DHL", "1", "req_1")
        await until(lambda: reader.ended)
    assert reader.frames[0] == "retry: 1000"
    assert reader.versions() == [1, 2, 3, 4, 5, 6]
    assert [frame.splitlines()[0] for frame in reader.named("order.event")] == [
        f"id: {version}" for version in range(1, 7)
    ]
    assert reader.frames[-1].startswith("event: complete")
    assert world.streams.open == 0


@pytest.mark.parametrize(
    ("query", "headers", "versions"),
    [
        ("?after=2", {}, [3, 4]),
        ("", {"Last_Event_ID": "3"}, [4]),
        ("?after=1", {"Last_Event_ID": "4"}, []),
        ("?after=99", {}, []),
    ],
)
async def test_a_stream_resumes_after_the_last_seen_version(
    world: World, query: str, headers: dict[str, str], versions: list[int]
) -> None:
    placed = await world.place()
    await world.advance(placed.id, "payment-auth-in-progress", "payment-auth-failed")
    await world.call("POST", f"{placed.path}/cancellation", {}, placed.auth)
    reader = Reader()
    async with served(world) as client:
        await follow(client, placed, reader, query, **headers)
    assert reader.versions() == versions
    assert reader.named("complete")


async def test_a_cancelled_order_is_complete_only_after_its_refund(world: World) -> None:
    placed = await world.place()
    await world.advance(placed.id, *PAID)
    await world.call("POST", f"{placed.path}/cancellation", {}, placed.auth)
    reader = Reader()
    async with served(world) as client, anyio.create_task_group() as group:
        group.start_soon(follow, client, placed, reader)
        await until(lambda: reader.versions() == [1, 2, 3, 4])
        await world.advance(placed.id, "payment-refund-in-progress")
        await until(lambda: reader.versions()[-1] == 5)
        assert not reader.ended
        await world.advance(placed.id, "payment-refunded")
        await until(lambda: reader.ended)


async def test_a_quiet_stream_beats(tmp_path: Path) -> None:
    limits = Limits(rate_per_min=None, heartbeat_s=0.01)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.place()
        reader = Reader()
        async with served(world) as client, anyio.create_task_group() as group:
            group.start_soon(follow, client, placed, reader)
            await until(lambda: reader.frames.count(": still here") >= 2)
            world.streams.stop()


async def test_the_server_stops_at_once_with_streams_attached_and_says_bye(world: World) -> None:
    placed = await world.place()
    readers = [Reader() for _ in range(3)]
    async with anyio.create_task_group() as group, served(world) as client:
        for reader in readers:
            group.start_soon(follow, client, placed, reader)
        await until(lambda: all(reader.versions() == [1] for reader in readers))
        assert "ordermill_stream_clients 3.0" in world.metrics()
        world.streams.stop()
        await until(lambda: all(reader.ended for reader in readers))
    assert all(reader.frames[-1].startswith("event: bye") for reader in readers)
    assert world.streams.open == 0


async def test_a_server_that_is_told_to_stop_ends_its_streams_itself(world: World) -> None:
    placed = await world.place()
    reader = Reader()
    server = HttpServer(world.app, "127.0.0.1", 0, stop_streams=world.streams.stop)
    async with anyio.create_task_group() as group:
        async with running(server.run):
            base = f"http://127.0.0.1:{server.port}"
            client = httpx.AsyncClient(base_url=base, trust_env=False, timeout=30.0)
            group.start_soon(follow, client, placed, reader)
            await until(lambda: reader.versions() == [1])
        # Its grace is 3 s: if the stream had to be cancelled, there would be no bye.
        await until(lambda: reader.ended)
        await client.aclose()
    assert reader.named("bye")


async def test_a_server_started_again_takes_streams_again(world: World) -> None:
    placed = await world.place()
    for _ in range(2):
        reader = Reader()
        async with anyio.create_task_group() as group, served(world) as client:
            group.start_soon(follow, client, placed, reader)
            await until(lambda reader=reader: reader.versions() == [1])
            world.streams.stop()
            await until(lambda reader=reader: reader.ended)


async def test_a_client_that_leaves_gives_its_place_back(tmp_path: Path) -> None:
    limits = Limits(rate_per_min=None, streams_max=1)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.place()
        reader = Reader()
        path = f"{placed.path}/events/stream"
        async with served(world) as client, anyio.create_task_group() as group:
            group.start_soon(follow, client, placed, reader)
            await until(lambda: world.streams.open == 1)
            answer = await world.call("GET", path, headers=placed.auth)
            assert (answer.status, answer.slug) == (429, "rate-limited")
            assert answer.headers["Retry-After"] == "5"
            group.cancel_scope.cancel()
        await until(lambda: world.streams.open == 0)


async def test_a_stream_lives_for_a_bounded_time(tmp_path: Path) -> None:
    limits = Limits(rate_per_min=None, stream_s_max=60.0, heartbeat_s=0.01)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.place()
        reader = Reader()
        async with served(world) as client, anyio.create_task_group() as group:
            group.start_soon(follow, client, placed, reader)
            await until(lambda: reader.versions() == [1])
            world.clock.now_s += 61
            await until(lambda: reader.ended)
        assert not reader.named("bye") + reader.named("complete")


async def test_a_stream_is_only_for_those_who_may_read_the_order(world: World) -> None:
    placed, other = await world.place(), await world.place()
    path = f"{placed.path}/events/stream"
    assert (await world.call("GET", path)).slug == "unauthorized"
    assert (await world.call("GET", path, headers=other.auth)).slug == "not-found"
    bad = await world.call("GET", path, headers={**placed.auth, "Last-Event-ID": "x"})
    assert (bad.status, bad.slug) == (422, "validation-failed")


async def test_the_head_of_a_stream_has_no_body(world: World) -> None:
    placed = await world.place()
    answer = await world.call("HEAD", f"{placed.path}/events/stream", headers=placed.auth)
    assert (answer.status, answer.body) == (200, b"")
    assert world.streams.open == 0


async def test_a_stopped_wait_gives_nothing_and_a_finished_one_its_result() -> None:
    streams = Streams()

    async def result() -> int:
        return 7

    assert await streams.unless_stopped(result) == 7
    outcomes: list[object] = []

    async def waiting() -> None:
        outcomes.append(await streams.unless_stopped(anyio.sleep_forever))

    async with anyio.create_task_group() as group:
        group.start_soon(waiting)
        await anyio.wait_all_tasks_blocked()
        streams.stop()
    assert outcomes == [None]
    assert await streams.unless_stopped(result) is None


async def test_an_event_between_two_looks_at_the_store_is_not_left_out(tmp_path: Path) -> None:
    class OneByOne(LocalOrderEvents):
        """Tells of one event at a time, as if each were appended after the look before."""

        async def events(
            self, order_id: str, *, after: int = 0, limit: int = 100, wait_s: float = 0.0
        ) -> list[Event]:
            return await super().events(order_id, after=after, limit=1, wait_s=wait_s)

    async with gateway_world(tmp_path) as behind:
        parts = behind.parts
        slow = OneByOne(parts.ref, parts.database, parts.wakeups, parts.latest, service="gateway")
        async with gateway_world(tmp_path / "front", order_events=slow) as world:
            placed = await world.place()
            await world.call("POST", f"{placed.path}/cancellation", {}, placed.auth)
            reader = Reader()
            async with served(world) as client:
                await follow(client, placed, reader)
    assert reader.versions() == [1, 2]
    assert reader.named("complete")


async def test_a_history_that_ends_with_a_full_page_ends_its_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_PAGE", 2)
    limits = Limits(rate_per_min=None, heartbeat_s=0.01)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.place()
        await world.call("POST", f"{placed.path}/cancellation", {}, placed.auth)
        reader = Reader()
        async with served(world) as client:
            with anyio.fail_after(20):
                await follow(client, placed, reader)
    assert reader.versions() == [1, 2]
    assert reader.named("complete")


async def test_a_stream_without_news_does_not_look_into_the_store(tmp_path: Path) -> None:
    limits = Limits(rate_per_min=None, heartbeat_s=0.01)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.place()
        reader, looks = Reader(), 0
        read = world.parts.database.read

        async def counted(query: Any) -> Any:
            nonlocal looks
            looks += 1
            return await read(query)

        async with served(world) as client, anyio.create_task_group() as group:
            group.start_soon(follow, client, placed, reader)
            await until(lambda: reader.versions() == [1])
            world.parts.database.read = counted  # type: ignore[method-assign,assignment]
            beats = reader.frames.count(": still here")
            await until(lambda: reader.frames.count(": still here") >= beats + 3)
            assert looks == 0
            await world.advance(placed.id, "payment-auth-in-progress")
            await until(lambda: reader.versions() == [1, 2])
            assert looks == 1
            world.streams.stop()
