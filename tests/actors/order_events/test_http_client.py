"""What the HTTP client makes of a service that is slow, away, broken, or refuses its token."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from actors.batching import BatchingClient
from actors.domain.order_events import CancelOrder
from actors.order_events.http_client import HttpOrderEvents
from actors.order_events.wire import Problem
from actors.service_client import ServiceClient
from runtime.errors import DeadlineExceeded, Rejection, Unavailable
from tests.harness.order_events import (
    TOKENS,
    order_events_app,
    order_events_parts,
    sample_intent,
)
from tests.harness.orders import sample_placing

Answer = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def _client(answer: Answer, token: str = "t") -> AsyncIterator[HttpOrderEvents]:
    transport = httpx.MockTransport(answer)
    async with aclosing(ServiceClient("http://order-events", transport)) as http:
        yield HttpOrderEvents(BatchingClient(http), token)


def _problem(status: int, code: str, **headers: str) -> Answer:
    problem = Problem(type=f"/problems/{code}", title="Said no.", status=status, code=code)
    return lambda request: httpx.Response(
        status, content=msgspec.json.encode(problem), headers=headers
    )


def _raising(error: Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize("error", [httpx.ReadTimeout("late"), httpx.ConnectTimeout("late")])
async def test_no_answer_in_time_means_the_outcome_is_unknown(error: Exception) -> None:
    async with _client(_raising(error)) as client:
        with pytest.raises(DeadlineExceeded):
            await client.execute(sample_placing(), sample_intent("k"))


@pytest.mark.parametrize(
    ("error", "gives_up"),
    [(httpx.ConnectError("refused"), False), (httpx.ReadError("reset"), True)],
)
async def test_a_service_that_is_away_is_unavailable_and_parks_no_message(
    error: Exception, gives_up: bool
) -> None:
    async with _client(_raising(error)) as client:
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            await client.refunds_due()
    assert caught.value.gives_up is gives_up


@pytest.mark.parametrize(
    "answer",
    [
        _problem(503, "unavailable"),
        _problem(500, "internal"),
        _problem(401, "unauthorized"),
        _problem(408, "http-error"),
        lambda request: httpx.Response(502, text="<html>bad gateway</html>"),
        lambda request: httpx.Response(404, text="not ours"),
        lambda request: httpx.Response(200, content=b"\xff"),
        lambda request: httpx.Response(200, json={"refunds_due": 1}),
        lambda request: httpx.Response(302, headers={"Location": "http://elsewhere"}),
    ],
)
async def test_what_is_not_the_services_decision_is_unavailable(answer: Answer) -> None:
    """A consumer then puts its message back; a Rejection would drop it as a no-op."""
    async with _client(answer) as client:
        with pytest.raises(Unavailable):
            await client.refunds_due()


async def test_the_wait_that_was_asked_for_is_passed_on() -> None:
    async with _client(_problem(503, "unavailable", **{"Retry-After": "7"})) as client:
        with pytest.raises(Unavailable) as caught:
            await client.refunds_due()
    assert caught.value.retry_after_s == 7.0


async def test_a_decision_is_a_rejection_with_its_details() -> None:
    async with _client(_problem(409, "payment-locked")) as client:
        with pytest.raises(Rejection) as caught:
            await client.execute(CancelOrder("ord_1", "customer"), sample_intent())
    refusal = caught.value
    assert (refusal.code, refusal.status_hint, refusal.message) == (
        "payment-locked",
        409,
        "Said no.",
    )


async def test_a_strange_order_id_stays_within_its_path() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"data": []})

    async with _client(answer) as client:
        await client.events("a/../b?c#d", after=-3, wait_s=0.25)
    assert asked == ["/internal/v1/orders/a%2F..%2Fb%3Fc%23d/events?after=0&limit=100&wait=0.250"]


async def test_the_gateways_extras_travel_too(tmp_path: Path) -> None:
    async with order_events_parts(tmp_path) as parts:
        transport = httpx.ASGITransport(app=order_events_app(parts))
        async with aclosing(ServiceClient("http://oe", transport)) as http:
            client = HttpOrderEvents(BatchingClient(http), TOKENS["gateway"])
            order = (await client.execute(sample_placing(), sample_intent())).order
            await client.execute(CancelOrder(order.id, "customer"), sample_intent())
            assert await client.all_events(after=1) == await client.events(order.id, after=1)
            await client.erase(order.id)
            personal = await client.personal(order.id, order.customer_ref)
            assert personal.customer is None
            stranger = HttpOrderEvents(BatchingClient(http), "wrong")
            with pytest.raises(Unavailable, match="401"):
                await stranger.order(order.id)
