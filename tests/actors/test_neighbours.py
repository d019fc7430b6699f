"""A service in another process: whether it answers, and where it is."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import httpx
import pytest

from actors.neighbours import (
    AWAY_LOOK_S,
    EVENTS,
    LOOK_S,
    Neighbour,
    neighbour_client,
    neighbour_url,
)
from actors.settings import OrderEventsHttp, Shipping
from runtime.errors import ConfigurationError
from runtime.host import Clock
from runtime.telemetry import Telemetry


class StillClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class Door:
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.answer: httpx.Response | Exception = httpx.ConnectError("refused")
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@asynccontextmanager
async def neighbour(door: Door, clock: Clock, log: list[str]) -> AsyncIterator[Neighbour]:
    telemetry = Telemetry(wall=clock.wall, log_format="json", write=log.append, events=EVENTS)
    transport = httpx.MockTransport(door)
    async with httpx.AsyncClient(transport=transport, base_url="http://there") as http:
        yield Neighbour("order-events", http, clock, telemetry)


async def test_it_tells_since_when_it_is_away_and_each_change_once() -> None:
    door, clock, log = Door(), StillClock(), []
    async with neighbour(door, clock, log) as found:
        assert found.check() == "unreachable 0s"
        for after_s, said in ((0, "unreachable 0s"), (3, "unreachable 3s")):
            clock.now += after_s
            await found._look()
            assert found.check() == said
        door.answer = httpx.Response(200)
        await found._look()
        await found._look()
        assert found.check() == "ok"
        door.answer = httpx.Response(500)
        await found._look()
        assert found.check() == "unreachable 0s"
    lines = [json.loads(line) for line in log]
    assert [(line["event"], line["service"]) for line in lines] == [
        ("neighbour.lost", "order-events"),
        ("neighbour.back", "order-events"),
        ("neighbour.lost", "order-events"),
    ]
    assert lines[1]["down_s"] == 3
    assert lines[2]["error"] == "it answered 500"
    assert set(door.asked) == {"/healthz"}


async def test_one_that_is_away_is_looked_for_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    door, clock = Door(), StillClock()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        door.answer = httpx.Response(200)
        if len(pauses) == 2:
            raise TimeoutError

    monkeypatch.setattr("actors.neighbours.anyio.sleep", sleep)
    async with neighbour(door, clock, []) as found:
        with pytest.raises(TimeoutError):
            await found._keep_looking()
    assert pauses == [AWAY_LOOK_S, LOOK_S]
    assert AWAY_LOOK_S < LOOK_S


def test_where_it_is_follows_from_its_url_or_its_port() -> None:
    assert neighbour_url("order_events", OrderEventsHttp()) == "http://127.0.0.1:8081"
    assert neighbour_url("shipping", Shipping(bind="::", port=9)) == "http://[::1]:9"
    given = OrderEventsHttp(port=0, url="https://store.example")
    assert neighbour_url("order_events", given) == "https://store.example"
    with pytest.raises(ConfigurationError, match="order_events") as refused:
        neighbour_url("order_events", OrderEventsHttp(port=0))
    assert "order_events.url" in refused.value.hint


async def test_proxies_of_the_environment_see_none_of_our_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with neighbour_client("http://127.0.0.1:2", 4) as http:
        assert not http.trust_env
        assert http._mounts == {}


async def test_a_connection_that_is_given_up_from_outside_is_one_that_could_not_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connecting: asyncio.Future[asyncio.Task[object] | None] = asyncio.Future()

    async def connect(*_given: object, **_named: object) -> None:
        connecting.set_result(asyncio.current_task())
        await asyncio.Future()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    async with neighbour_client("http://127.0.0.1:1", 4) as http:
        asking = asyncio.ensure_future(http.get("/healthz"))
        inner = await asyncio.wait_for(connecting, 10)
        assert inner is not None
        assert inner is not asking
        inner.cancel()
        with pytest.raises(httpx.ConnectError) as refused:
            await asking
        assert isinstance(refused.value.__cause__, ValueError)


async def test_a_name_that_nobody_can_look_up_is_one_that_cannot_be_reached() -> None:
    async with neighbour_client(f"http://{'long' * 20}.example", 4) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/healthz")


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_a_connection_that_is_reset_as_soon_as_it_is_made_is_a_failure_to_reach(
    uvloop: bool,
) -> None:
    """On uvloop it is a matter of chance which call finds out: about one in a hundred is the first.

    The others fail as soon as they read or write.
    """

    def reset_everybody(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                one, _ = server.accept()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()

    async def ask(url: str) -> list[Exception]:
        failures: list[Exception] = []
        async with neighbour_client(url, 4) as http:
            for _ in range(300):
                try:
                    await http.get("/healthz")
                except Exception as failure:
                    failures.append(failure)
        return failures

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=reset_everybody, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        failures = anyio.run(ask, url, backend_options={"use_uvloop": uvloop})
        server.shutdown(socket.SHUT_RDWR)
    assert len(failures) == 300
    assert [one for one in failures if not isinstance(one, httpx.TransportError)] == []
