"""The whole service between a real broker, a real order service and the sandbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from actors.domain.order import Order, payment_status
from actors.domain.order_events import CancelOrder
from actors.order_events.client import LocalOrderEvents
from actors.order_events.parts import OrderEventsParts
from actors.order_events.schema import MIGRATIONS as ORDER_MIGRATIONS
from actors.order_events.signals import METRICS as ORDER_EVENTS_METRICS
from actors.payment.assembly import FILE, MIGRATIONS, Payment, payment_app
from actors.payment.sandbox import SandboxProvider, open_sandbox
from actors.payment.signals import EVENTS, METRICS
from actors.topology import topology
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.session import Session
from runtime.amqp.topology import declare
from runtime.child import SupervisorSpec
from runtime.database import open_database
from runtime.host import production_host
from runtime.outcomes import RetryPolicy
from runtime.service import Surroundings
from runtime.supervisor import Supervisor
from runtime.telemetry import Telemetry
from tests.harness.order_events import sample_intent
from tests.harness.orders import sample_placing
from tests.harness.rabbitmq import RabbitMQ

RETRY = RetryPolicy(tiers_s=(1,), attempts_max=5)


class Shop:
    """What a test touches of the running system."""

    def __init__(self, payment: Payment, gateway: LocalOrderEvents, sandbox: SandboxProvider):
        self.payment = payment
        self.gateway = gateway
        self.sandbox = sandbox
        self.telemetry = Telemetry(wall=lambda: 0.0, log_level="off", metrics=METRICS)

    async def place(self, token: str) -> str:
        placed = await self.gateway.execute(sample_placing(token=token), sample_intent())
        return placed.order.id

    async def until(self, order_id: str, status: str) -> Order:
        with anyio.fail_after(30):
            while True:
                order = await self.gateway.order(order_id)
                if payment_status(order) == status:
                    return order
                await self.gateway.events(order_id, after=order.version, wait_s=1.0)


@asynccontextmanager
async def shop_at(url: str, folder: Path) -> AsyncIterator[Shop]:
    host = production_host(folder)
    metrics = (*METRICS, *ORDER_EVENTS_METRICS)
    telemetry = Telemetry(wall=host.clock.wall, log_level="off", metrics=metrics, events=EVENTS)

    async def prepare(session: Session) -> None:
        await declare(session, topology(RETRY.tiers_s, "quorum"))

    publish = Link(url, "publish", host, telemetry, prepare=prepare)
    consume = Link(url, "consume", host, telemetry, prepare=prepare)
    publisher = LinkPublisher(publish, telemetry)
    async with (
        open_database(host.disk, "orders.db", ORDER_MIGRATIONS) as orders_database,
        open_database(host.disk, FILE, MIGRATIONS) as database,
        open_sandbox(host) as sandbox,
    ):
        parts = OrderEventsParts(orders_database, publisher, host, telemetry)
        around = Surroundings(
            link=consume,
            publisher=publisher,
            database=database,
            host=host,
            telemetry=telemetry,
            retry=RETRY,
        )
        payment = Payment(parts.client("payment"), sandbox, around, hold_s=0.05, sweep_s=0.2)
        children = (publish.child(), consume.child(), *parts.children(), payment.spec())
        supervisor = Supervisor(SupervisorSpec("shop", children), host, telemetry)
        stopping, started = anyio.Event(), anyio.Event()

        async def run() -> None:
            await supervisor.run(stopping, started=started.set)

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            with anyio.fail_after(20):
                await started.wait()
            yield Shop(payment, parts.client("gateway"), sandbox)
            stopping.set()


@pytest.mark.rabbitmq
async def test_orders_are_paid_retried_refunded_and_shown(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/{rabbitmq.vhost()}"
    async with shop_at(url, tmp_path) as shop:
        flaky = await shop.place("pm_card_flaky")
        declined = await shop.place("pm_card_declined")
        cancelled = await shop.place("pm_card_visa")
        assert (await shop.until(declined, "failed")).failure == "card_declined"
        await shop.until(cancelled, "captured")
        await shop.gateway.execute(CancelOrder(cancelled, "customer"), sample_intent())
        await shop.until(cancelled, "refunded")
        await shop.until(flaky, "captured")
        kinds = [(row.order_id, row.kind) for row in await shop.sandbox.ledger()]
        assert sorted(kinds) == sorted(
            [(flaky, "authorise"), (flaky, "capture")]
            + [(cancelled, kind) for kind in ("authorise", "capture", "refund")]
        )
        app = payment_app({"store": lambda: "ok"}, shop.telemetry, shop.payment.status)
        shown = await (await app.test_client().get("/internal/v1/status")).get_data()
        status = msgspec.json.decode(shown)["status"]
        assert status["refunds_due"] == []
        assert status["messages"]["lanes"]["accepted"] >= 4
