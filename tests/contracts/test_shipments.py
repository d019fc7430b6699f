"""What every implementation of `Shipments` does, however it reaches the shipping service.

To add an implementation, add to `IMPLEMENTATIONS` a context manager that gives a client of the desk
that is running.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from quart import Quart

from actors.domain.order_events import OrderEvents, Recorded
from actors.domain.shipments import Shipments
from actors.service_client import ServiceClient
from actors.shipping.http_client import HttpShipments
from actors.shipping.rest import shipping_app
from actors.shipping.shipments import AskedShipments, Ship, ShippingDesk
from runtime.actor import ActorRef, actor_child
from runtime.errors import DeadlineExceeded, Rejection, Unavailable
from runtime.host import production_host
from runtime.telemetry import quiet_telemetry
from tests.harness.running import running
from tests.harness.shop import Shop, open_shop
from tests.harness.waiting import eventually

TOKEN = "the gateway's token"
Connect = Callable[[AskedShipments, Path, float], AbstractAsyncContextManager[Shipments]]


def app_over(shipments: Shipments, folder: Path) -> Quart:
    async def status() -> object:
        return {}

    return shipping_app(
        shipments,
        tokens={"gateway": TOKEN},
        ids=production_host(folder).ids,
        checks={},
        telemetry=quiet_telemetry(),
        status=status,
    )


@asynccontextmanager
async def _asked(
    desk: AskedShipments, _folder: Path, _deadline_s: float
) -> AsyncIterator[Shipments]:
    yield desk


@asynccontextmanager
async def _http(desk: AskedShipments, folder: Path, deadline_s: float) -> AsyncIterator[Shipments]:
    transport = httpx.ASGITransport(app=app_over(desk, folder))
    async with aclosing(ServiceClient("http://shipping", transport)) as http:
        yield HttpShipments(http, TOKEN, deadline_s=deadline_s)


IMPLEMENTATIONS: dict[str, Connect] = {"asked": _asked, "http": _http}


class Journey:
    """A shop, and a client of a shipping desk that writes to its store (or to ``log``)."""

    def __init__(self, shop: Shop, connect: Connect, folder: Path) -> None:
        self.shop = shop
        self._connect = connect
        self._folder = folder

    @asynccontextmanager
    async def shipments(
        self, log: OrderEvents | None = None, deadline_s: float = 20.0
    ) -> AsyncIterator[Shipments]:
        ref: ActorRef[Ship] = ActorRef("shipping-desk")
        order_events = log or self.shop.shipping
        child = actor_child("shipping-desk", lambda: ShippingDesk(order_events), ref, batch_max=64)
        desk = AskedShipments(ref, deadline_s=deadline_s)
        async with running(child.run), self._connect(desk, self._folder, deadline_s) as client:
            yield client

    async def prepared(self) -> str:
        order_id = await self.shop.place()
        await self.shop.prepare(order_id)
        return order_id


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def journey(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journey]:
    async with open_shop(tmp_path) as shop:
        yield Journey(shop, IMPLEMENTATIONS[request.param], tmp_path)


async def refusal_of(call: object) -> Rejection:
    with pytest.raises(Rejection) as caught:
        await call  # type: ignore[misc]  # any coroutine of the protocol
    return caught.value


async def test_the_same_parcel_twice_is_one_event(journey: Journey) -> None:
    order_id = await journey.prepared()
    async with journey.shipments() as shipments:
        first = await shipments.shipped(order_id, "DHL", "JJD1", "req_a")
        again = await shipments.shipped(order_id, "DHL", "JJD1", "req_b")
    assert (first.replayed, first.event.correlation_id) == (False, "req_a")
    assert again == Recorded(first.event, replayed=True)
    assert (await journey.shop.types(order_id)).count("shipped") == 1


async def test_another_parcel_is_refused_and_the_refusal_says_how_things_stand(
    journey: Journey,
) -> None:
    order_id = await journey.prepared()
    async with journey.shipments() as shipments:
        await shipments.shipped(order_id, "DHL", "JJD1", "req_a")
        refusal = await refusal_of(shipments.shipped(order_id, "UPS", "JJD1", "req_b"))
    assert (refusal.code, refusal.status_hint) == ("already-shipped", 409)
    assert refusal.message
    assert refusal.details["order_status"] == "shipped"
    blocking = refusal.details["blocking_event"]
    assert isinstance(blocking, dict)
    assert blocking["type"] == "shipped"


async def test_what_is_not_prepared_not_there_or_not_a_number_is_refused(journey: Journey) -> None:
    placed, prepared = await journey.shop.place(), await journey.prepared()
    async with journey.shipments() as shipments:
        early = await refusal_of(shipments.shipped(placed, "DHL", "JJD1", "req_a"))
        missing = await refusal_of(shipments.shipped("ord_/..none", "DHL", "JJD1", "req_a"))
        wrong = await refusal_of(shipments.shipped(prepared, "D" * 41, "JJD1", "req_a"))
        assert not (await shipments.shipped(prepared, "DHL", "JJD1", "req_a")).replayed
    assert (early.code, early.status_hint) == ("not-prepared", 409)
    assert (missing.code, missing.status_hint) == ("not-found", 404)
    assert (wrong.code, wrong.status_hint) == ("validation-failed", 422)


class Log:
    """An order-events that is down, or takes until it is let go."""

    def __init__(self, shop: Shop | None) -> None:
        self.asked = anyio.Event()
        self.go = anyio.Event()
        self._shop = shop

    async def append(self, *args: object, **kwargs: object) -> Recorded:
        self.asked.set()
        if self._shop is None:
            raise Unavailable("order-events does not answer", retry_after_s=3)
        await self.go.wait()
        return await self._shop.shipping.append(*args, **kwargs)  # type: ignore[arg-type]


async def test_a_log_that_is_down_is_unavailable(journey: Journey) -> None:
    async with journey.shipments(Log(None)) as shipments:  # type: ignore[arg-type]
        with pytest.raises(Unavailable) as caught:
            await shipments.shipped("ord_1", "DHL", "JJD1", "req_a")
    assert caught.value.retry_after_s == 3


async def test_a_caller_that_goes_away_does_not_take_the_request_along(journey: Journey) -> None:
    slow = Log(journey.shop)
    order_id = await journey.prepared()
    async with journey.shipments(slow) as shipments:  # type: ignore[arg-type]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shipments.shipped, order_id, "DHL", "JJD1", "req_a")
            await slow.asked.wait()
            tasks.cancel_scope.cancel()
        slow.go.set()
        answer = await shipments.shipped(order_id, "DHL", "JJD1", "req_b")
    assert (answer.replayed, answer.event.correlation_id) == (True, "req_a")


async def test_no_answer_in_time_is_unknown_and_asking_again_tells(journey: Journey) -> None:
    slow = Log(journey.shop)
    order_id = await journey.prepared()
    async with journey.shipments(slow, deadline_s=0.05) as shipments:  # type: ignore[arg-type]
        with pytest.raises(Unavailable):
            await shipments.shipped(order_id, "DHL", "JJD1", "req_a")
        slow.go.set()

        async def noted() -> bool:
            return "shipped" in await journey.shop.types(order_id)

        await eventually(noted)
    async with journey.shipments() as shipments:
        assert (await shipments.shipped(order_id, "DHL", "JJD1", "req_b")).replayed


# What only HTTP can meet


@pytest.fixture
def answers() -> Iterator[list[httpx.Response | Exception]]:
    found: list[httpx.Response | Exception] = []
    yield found
    assert found == []


@asynccontextmanager
async def client(answers: list[httpx.Response | Exception]) -> AsyncIterator[HttpShipments]:
    def answer(_: httpx.Request) -> httpx.Response:
        found = answers.pop()
        if isinstance(found, Exception):
            raise found
        return found

    transport = httpx.MockTransport(answer)
    async with aclosing(ServiceClient("http://shipping", transport)) as http:
        yield HttpShipments(http, TOKEN)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(200, content=b"{}"),
        httpx.Response(404, content=b"<html>somebody else</html>"),
        httpx.Response(401, json={"type": "/problems/unauthorized", "title": "No"}),
        httpx.Response(500, json={"type": "/problems/internal", "title": "A bug"}),
    ],
)
async def test_what_is_no_answer_of_the_service_is_unavailable(
    answers: list[httpx.Response | Exception], answer: httpx.Response | Exception
) -> None:
    answers.append(answer)
    async with client(answers) as shipments:
        with pytest.raises(Unavailable):
            await shipments.shipped("ord_1", "DHL", "JJD1", "req_a")


async def test_a_deadline_over_http_is_told_as_one(
    answers: list[httpx.Response | Exception],
) -> None:
    answers.append(httpx.ReadTimeout("slow"))
    async with client(answers) as shipments:
        with pytest.raises(DeadlineExceeded):
            await shipments.shipped("ord_1", "DHL", "JJD1", "req_a")
