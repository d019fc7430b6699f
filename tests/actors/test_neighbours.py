"""A service in another process: whether it answers, and where it is."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from actors.neighbours import (
    AWAY_LOOK_S,
    EVENTS,
    LOOK_S,
    Neighbour,
    neighbour_url,
)
from actors.service_client import ServiceClient
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
    async with aclosing(ServiceClient("http://there", transport)) as http:
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
        clock.now += seconds
        door.answer = httpx.Response(200)
        if len(pauses) == 2:
            raise TimeoutError

    monkeypatch.setattr("actors.neighbours.anyio.sleep", sleep)
    async with neighbour(door, clock, []) as found:
        with pytest.raises(TimeoutError):
            await found._keep_looking()
    assert pauses == [AWAY_LOOK_S, LOOK_S]
    assert AWAY_LOOK_S < LOOK_S


@pytest.mark.parametrize(("status", "fresh_s"), [(200, 3.0), (404, 0.0), (500, 0.0)])
async def test_one_that_has_just_answered_somebody_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, status: int, fresh_s: float
) -> None:
    """An answer that says no may be anybody's."""
    door, clock = Door(), StillClock()
    door.answer = httpx.Response(200)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise TimeoutError
        clock.now += fresh_s
        door.answer = httpx.Response(status)
        await found.http.request("GET", "/orders", timeout_s=1)
        door.answer = httpx.Response(200)
        clock.now += seconds - fresh_s

    monkeypatch.setattr("actors.neighbours.anyio.sleep", sleep)
    async with neighbour(door, clock, []) as found:
        with pytest.raises(TimeoutError):
            await found._keep_looking()
    assert pauses == [LOOK_S, fresh_s or LOOK_S]
    assert door.asked == ["/healthz", "/orders", *([] if fresh_s else ["/healthz"])]


def test_where_it_is_follows_from_its_url_or_its_port() -> None:
    assert neighbour_url("order_events", OrderEventsHttp()) == "http://127.0.0.1:8081"
    assert neighbour_url("shipping", Shipping(bind="::", port=9)) == "http://[::1]:9"
    given = OrderEventsHttp(port=0, url="https://store.example")
    assert neighbour_url("order_events", given) == "https://store.example"
    with pytest.raises(ConfigurationError, match="order_events") as refused:
        neighbour_url("order_events", OrderEventsHttp(port=0))
    assert "order_events.url" in refused.value.hint
