"""The flows again, with every service in a process of its own: on our broker, and on RabbitMQ."""

import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest

from actors.batching import BatchingClient
from actors.domain.events import EVENT_TYPES, Shipped
from actors.domain.order_events import Service
from actors.order_events.http_client import HttpOrderEvents
from actors.services import CONSUMERS, SERVICES
from runtime.errors import Rejection, Unavailable
from tests.harness.apart import Apart, ApartSystem, subjects
from tests.harness.browser_client import browser_at
from tests.harness.plain_client import plain_client, plain_service_client
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.shopping import WHO, Shopper, order_id_of
from tests.harness.system import OTHER_ADDRESS, Json
from tests.harness.waiting import eventually, until

PAID = ["order-created", "payment-auth-in-progress", "payment-captured"]
PREPARED = [*PAID, "shipping-preparation-in-progress", "shipping-prepared"]
SETTINGS = (
    *("payment.hold_s=0", "payment.sweep_s=0.5", "shipping.hold_s=1.5"),
    *("retry.tiers_s=1", "api.rate_per_min=0", "broker.reconnect_s_max=0.5"),
)


@pytest.fixture(scope="module", params=["embedded", "rabbitmq"])
def apart(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Apart]:
    url = "embedded"
    if request.param == "rabbitmq":
        node: RabbitMQ = request.getfixturevalue("rabbitmq")
        url = f"amqp://{node.user}:{node.password}@{node.host}:{node.port}/{node.vhost()}"
    processes = Apart(tmp_path_factory.mktemp("apart"), url, *SETTINGS)
    try:
        processes.start()
        yield processes
    finally:
        processes.close()


@asynccontextmanager
async def seen(apart: Apart) -> AsyncIterator[ApartSystem]:
    async with (
        plain_client(apart.url("gateway"), timeout=60) as gateway,
        plain_service_client(apart.url("order-events")) as store,
    ):
        yield ApartSystem(apart, gateway, store)


@pytest.fixture
async def system(apart: Apart) -> AsyncIterator[ApartSystem]:
    async with seen(apart) as found:
        yield found


def rows(apart: Apart, file: str, query: str, order_id: str) -> list[tuple[object, ...]]:
    """Read another process's books."""
    with closing(sqlite3.connect(f"file:{apart.data_dir / file}?mode=ro", uri=True)) as reader:
        return reader.execute(query, (order_id,)).fetchall()


def moves(apart: Apart, order_id: str) -> list[object]:
    query = "SELECT kind FROM operations WHERE order_id = ? ORDER BY sequence"
    return [kind for (kind,) in rows(apart, "sandbox-provider.db", query, order_id)]


async def test_the_pages_of_a_gateway_that_is_alone_show_mails_and_have_links_mailed(
    system: ApartSystem,
) -> None:
    browser = browser_at(system.client)
    order = await Shopper(browser).order()

    async def mailed() -> bool:
        page = await browser.get(order.path)
        return "We received your order" in page.root.one("ul", class_="mails").text

    await system.wait_for(order_id_of(order), "shipping-prepared")
    await eventually(mailed)
    number = order.title.partition(" ")[2]
    other = browser_at(system.client)
    form = (await other.get("/orders/find")).form("/orders/find")
    await other.submit(form, number=number, email=WHO["email"])

    async def found() -> bool:
        return f"The link to your order {number}" in (await other.get("/demo/mailbox")).text

    await eventually(found)
    opened = await other.get((await other.get("/demo/mailbox")).link("See the order"))
    assert opened.title == order.title
    assert "Your parcel is packed." in opened.text


async def test_an_order_is_paid_prepared_shipped_and_mailed_about(system: ApartSystem) -> None:
    order = await system.place()
    await order.wait_for("shipping-prepared")
    shipped = await order.ship()
    again, other = await order.ship(), await order.ship(tracking="JD9999")
    shown = await order.show()
    await until(lambda: len(subjects(system, shown["number"])) == 2)
    assert (shipped.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert (shipped.json()["status"], again.headers["Idempotent-Replayed"]) == ("shipped", "true")
    assert other.json()["type"].endswith("/problems/already-shipped")
    assert other.json()["order_status"] == "shipped"
    assert await order.types() == [*PREPARED, "shipped"]
    assert moves(system.apart, order.id) == ["authorise", "capture"]


async def test_cancelled_after_the_capture_the_money_goes_back(system: ApartSystem) -> None:
    order = await system.place()
    await order.wait_for("payment-captured")
    assert (await order.cancel()).status_code == 200
    await order.wait_for("payment-refunded")
    shown = await order.show()
    assert (shown["status"], shown["payment"]["status"]) == ("cancelled", "refunded")
    assert await order.types() == [
        *PAID,
        "order-cancelled",
        "payment-refund-in-progress",
        "payment-refunded",
    ]
    assert moves(system.apart, order.id) == ["authorise", "capture", "refund"]


async def test_the_address_edited_inside_the_hold_is_where_the_parcel_goes(
    system: ApartSystem,
) -> None:
    order = await system.place()
    await order.wait_for("payment-captured")
    assert (await order.send_to(OTHER_ADDRESS)).status_code == 200
    await order.wait_for("shipping-prepared")
    refused = await order.send_to(OTHER_ADDRESS)
    query = "SELECT address FROM parcels WHERE order_id = ?"
    ((address,),) = rows(system.apart, "carrier.db", query, order.id)
    assert isinstance(address, str | bytes)
    assert json.loads(address)["line1"] == OTHER_ADDRESS["line1"]
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/problems/shipping-locked")
    assert refused.json()["blocking_event"]["type"] == "shipping-preparation-in-progress"


async def test_a_stream_of_the_gateway_tells_what_happens_in_other_processes(
    system: ApartSystem,
) -> None:
    order = await system.place()
    told: list[Json] = []
    path = f"/v1/orders/{order.id}/events/stream"
    headers = {"authorization": f"Bearer {order.token}"}
    async with system.client.stream("GET", path, headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith('data: {"id'):
                told.append(json.loads(line.removeprefix("data: ")))
            if told and told[-1]["type"] == "shipping-prepared/v1" and len(told) == 5:
                assert (await order.ship()).status_code == 200
            if line == "event: complete":
                break
    assert [event["type"] for event in told] == [f"{name}/v1" for name in (*PREPARED, "shipped")]


async def test_every_service_says_on_its_own_how_it_is(system: ApartSystem) -> None:
    foundations = {
        "gateway": ("order-events",),
        "order-events": ("store", "broker", "outbox"),
        **dict.fromkeys(CONSUMERS, ("store", "broker", "order-events")),
    }
    expected = {
        name: dict.fromkeys((*checks, "actors"), "ok") for name, checks in foundations.items()
    }
    for name in SERVICES:

        async def ready(name: str = name) -> bool:
            return await system.checks(name) == (200, expected[name])

        await eventually(ready)
    headers = {"authorization": f"Bearer {system.apart.token('gateway')}"}
    for name in ("order-events", *CONSUMERS):
        url = f"{system.apart.url(name)}/internal/v1/status"
        assert (await system.client.get(url, headers=headers)).status_code == 200


async def test_a_services_token_is_no_good_for_anothers_events(system: ApartSystem) -> None:
    order = await system.place()
    await order.wait_for("shipping-prepared")
    for caller in ("gateway", "payment", "notification"):
        with pytest.raises(Rejection) as refusal:
            await system.as_service(caller).append(
                order.id, "evt_forged", Shipped("DHL", "JJD1"), correlation_id="req_1"
            )
        assert (refusal.value.code, refusal.value.status_hint) == ("forbidden", 403)
    stranger = HttpOrderEvents(BatchingClient(system.store), "nobody's token")
    with pytest.raises(Unavailable, match="401"):
        await stranger.order(order.id)
    url = f"{system.apart.url('shipping')}/internal/v1/shipments/{order.id}/shipped"
    body = {"carrier": "DHL", "tracking": "JJD1"}
    headers = {"authorization": f"Bearer {system.apart.token('payment')}"}
    assert (await system.client.post(url, json=body, headers=headers)).status_code == 401
    assert await order.types() == PREPARED
    row = EVENT_TYPES["shipped"]
    assert row.app_id == "shipping-service"


async def test_with_nothing_but_its_own_token_each_service_does_its_work(
    system: ApartSystem,
) -> None:
    callers: tuple[Service, ...] = ("payment", "shipping", "notification", "gateway")
    for name in callers:
        system.apart.own[name] = system.apart.own_tokens(name)
        system.apart.kill(name)
    await system.start(*callers)
    order = await system.place()
    await order.wait_for("shipping-prepared")
    assert (await order.ship()).status_code == 200
    number = (await order.show())["number"]
    await until(lambda: len(subjects(system, number)) == 2)


async def test_while_shipping_is_down_a_shipment_is_unavailable_and_then_happens_once(
    system: ApartSystem,
) -> None:
    order = await system.place()
    await order.wait_for("shipping-prepared")
    system.apart.kill("shipping")
    down = await order.ship()
    assert (down.status_code, int(down.headers["Retry-After"]) >= 1) == (503, True)
    assert down.json()["type"].endswith("/problems/service-unavailable")
    assert (await system.place()).id, "everything else goes on"
    await system.start("shipping")
    first, second = await order.ship(), await order.ship()
    assert (first.status_code, second.status_code) == (200, 200)
    assert (await order.types()).count("shipped") == 1


async def test_while_order_events_is_down_the_others_wait_for_it(system: ApartSystem) -> None:
    started = await system.place()
    await started.wait_for("payment-captured")
    order_events = system.apart.process("order-events")
    order_events.signal(signal.SIGTERM)
    assert order_events.ended() == 0
    system.apart.kill("payment")
    assert (await system.client.get("/healthz")).status_code == 200
    refused = await system.client.post("/v1/orders", json={})
    assert refused.status_code == 422
    shown = await system.call("GET", f"/v1/orders/{started.id}", token=started.token)
    assert shown.status_code == 503
    await system.start("payment")
    for name in ("payment", "gateway"):

        async def unreachable(name: str = name) -> bool:
            status, checks = await system.checks(name)
            return status == 503 and checks["order-events"].startswith("unreachable")

        await eventually(unreachable)
    await system.start("order-events")
    await started.wait_for("shipping-prepared")
    order = await system.place()
    await order.wait_for("shipping-prepared")
    assert await order.types() == PREPARED


def test_nothing_was_worth_a_traceback(apart: Apart) -> None:
    """The last one: what all the others have made the processes say."""
    for name in SERVICES:
        process = apart.process(name)
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert "Traceback" not in process.output
        assert "http.failed" not in process.output
