"""The system killed (SIGKILL) between any two steps of an order, and started again.

A customer asks for the same things with the same keys until they are answered. The oracles are the
books of the provider and the carrier, the customer's mails, the broker's queues, and the log.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import httpx
import msgspec
import pytest

from tests.harness.books import books_of, dead_letters
from tests.harness.customer import Customer, client_of
from tests.harness.doomed import Death, Doomed, When
from tests.harness.foreign import foreigner
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.system import Json, LiveSystem, live_system
from tests.harness.waiting import eventually

PAID = ["order-created", "payment-auth-in-progress", "payment-captured"]


class Story(msgspec.Struct, frozen=True):
    """What a customer wants, and what must come of it however often the system dies meanwhile."""

    wish: Callable[[Customer], Awaitable[str]]
    types: list[str]
    moves: list[str]
    parcels: int
    mails: list[str]
    settings: dict[str, Json] = {}


class Step(NamedTuple):
    name: str
    count: int = 1

    def __str__(self) -> str:
        return self.name if self.count == 1 else f"{self.name} #{self.count}"


WHEN: tuple[When, ...] = ("before", "after")
BUYING = Story(
    Customer.buys,
    [*PAID, "shipping-preparation-in-progress", "shipping-prepared", "shipped"],
    ["authorise", "capture"],
    1,
    ["We received your order N", "Your order N is on its way"],
)
STEPS_OF_BUYING = (
    Step("orders.db: INSERT INTO events, order-created"),
    Step("orders.db: INSERT INTO events, payment-auth-in-progress"),
    Step("orders.db: INSERT INTO events, payment-captured"),
    Step("orders.db: INSERT INTO events, shipping-preparation-in-progress"),
    Step("orders.db: INSERT INTO events, shipping-prepared"),
    Step("orders.db: INSERT INTO events, 'shipped'"),
    Step("publish"),
    Step("publish", 2),
    Step("publish", 3),
    Step("orders.db: DELETE FROM outbox"),
    Step("orders.db: DELETE FROM outbox", 2),
    Step("orders.db: DELETE FROM outbox", 3),
    Step("broker.db: INSERT INTO message, order-created"),
    Step("broker.db: INSERT INTO message, payment-captured"),
    Step("broker.db: INSERT INTO message, shipped"),
    Step("broker.db: DELETE FROM message"),
    Step("broker.db: DELETE FROM message", 2),
    Step("payment.db: INSERT INTO inbox"),
    Step("payment.db: INSERT INTO calls, 'authorise'"),
    Step("provider.authorise"),
    Step("payment.db: INSERT INTO calls, 'capture'"),
    Step("provider.capture"),
    Step("sandbox-provider.db: INSERT INTO operations, 'capture'"),
    Step("payment.db: DELETE FROM calls"),
    Step("payment.db: UPDATE inbox SET state = 'done'"),
    Step("ack payment"),
    Step("shipping.db: INSERT INTO inbox"),
    Step("carrier.prepare"),
    Step("shipping.db: UPDATE inbox SET steps"),
    Step("shipping.db: UPDATE inbox SET state = 'done'"),
    Step("ack shipping"),
    Step("notification.db: INSERT INTO inbox"),
    Step("notification.db: INSERT INTO mails"),
    Step("mailer.send"),
    Step("notification.db: INSERT INTO mails", 2),
    Step("notification.db: UPDATE inbox SET state = 'done'"),
    Step("ack notification"),
    Step("mailer.send", 2),
)
STEPS_ON_RABBITMQ = (
    Step("orders.db: INSERT INTO events, order-created"),
    Step("publish", 2),
    Step("provider.authorise"),
    Step("provider.capture"),
    Step("ack payment"),
    Step("shipping.db: UPDATE inbox SET steps"),
    Step("mailer.send", 2),
)
REGRETTING = Story(
    Customer.regrets,
    [*PAID, "order-cancelled", "payment-refund-in-progress", "payment-refunded"],
    ["authorise", "capture", "refund"],
    0,
    ["We received your order N", "Your order N is cancelled"],
    # Never prepared: else the customer, who is away while the system is, might be too late.
    {"shipping": {"hold_s": 3600.0}},
)
STEPS_OF_REGRETTING = (
    Step("orders.db: INSERT INTO events, order-cancelled"),
    Step("orders.db: INSERT INTO events, payment-refund-in-progress"),
    Step("payment.db: INSERT INTO calls, 'refund'"),
    Step("provider.refund"),
    Step("orders.db: INSERT INTO events, payment-refunded"),
    Step("payment.db: UPDATE inbox SET state = 'done'", 2),
)


async def assert_settled(system: LiveSystem, order_id: str, story: Story) -> None:
    """Nothing is left to do, and everything is as if nothing had happened."""

    async def nothing_left() -> bool:
        return all(": held" in left for left in await system._left())

    await eventually(nothing_left)
    assert [event.type.name for event in await system.events(order_id)] == story.types
    books = await books_of(system, order_id)
    assert (books.moves, books.parcels, books.mails) == (story.moves, story.parcels, story.mails)
    assert len(await system._orders.all_events(limit=1000)) == len(story.types), "another order"


async def live_until(death: Death, story: Story, folder: Path, broker_url: str) -> None:
    async with Doomed(folder, broker_url, death, **story.settings) as doomed:
        if doomed.url:
            async with client_of(doomed.url) as client:
                with suppress(httpx.TransportError):
                    await story.wish(Customer(folder, client))
        assert await doomed.died(), f"alive: {death}"


async def assert_survives(death: Death, story: Story, folder: Path, broker_url: str) -> None:
    """Run the system until it dies where it should; then run it again, and look."""
    await live_until(death, story, folder, broker_url)
    async with live_system(folder, broker_url, **story.settings) as system:
        order_id = await story.wish(Customer(folder, system.client))
        await assert_settled(system, order_id, story)
        assert await dead_letters(foreigner(system, broker_url)) == {}


@pytest.mark.parametrize("step", STEPS_OF_BUYING, ids=str)
async def test_killed_before_and_after_a_step_the_order_arrives_once(
    step: Step, tmp_path: Path
) -> None:
    async with anyio.create_task_group() as tasks:
        for when in WHEN:
            death = Death(when, *step)
            tasks.start_soon(assert_survives, death, BUYING, tmp_path / when, "embedded")


@pytest.mark.parametrize("step", STEPS_OF_REGRETTING, ids=str)
async def test_killed_before_and_after_a_step_the_money_goes_back_once(
    step: Step, tmp_path: Path
) -> None:
    async with anyio.create_task_group() as tasks:
        for when in WHEN:
            death = Death(when, *step)
            tasks.start_soon(assert_survives, death, REGRETTING, tmp_path / when, "embedded")


@pytest.mark.rabbitmq
@pytest.mark.parametrize("step", STEPS_ON_RABBITMQ, ids=str)
async def test_killed_on_rabbitmq_before_and_after_a_step_the_order_arrives_once(
    step: Step, tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    account = f"{rabbitmq.user}:{rabbitmq.password}@{rabbitmq.host}:{rabbitmq.port}"
    async with anyio.create_task_group() as tasks:
        for when in WHEN:
            url = f"amqp://{account}/{rabbitmq.vhost()}"
            tasks.start_soon(assert_survives, Death(when, *step), BUYING, tmp_path / when, url)


async def test_killed_in_mid_handling_and_started_at_once_the_message_is_finished(
    tmp_path: Path, broker_url: str
) -> None:
    hanging = Death("before", "provider.authorise", hang=True)
    async with (
        Doomed(tmp_path, broker_url, hanging) as doomed,
        client_of(doomed.url) as client,
    ):
        order_id, _ = await Customer(tmp_path, client).places()
        assert await doomed.told() == "hanging"
        doomed.kill()
        assert await doomed.died()
    async with live_system(tmp_path, broker_url) as system:
        assert await Customer(tmp_path, system.client).buys() == order_id
        await assert_settled(system, order_id, BUYING)
        assert await dead_letters(foreigner(system, broker_url)) == {}


async def test_killed_in_every_life_a_step_later_the_order_arrives_once(tmp_path: Path) -> None:
    for name in ("provider.authorise", "provider.capture", "carrier.prepare"):
        for when in WHEN:
            await live_until(Death(when, name), BUYING, tmp_path, "embedded")
    async with live_system(tmp_path) as system:
        order_id = await BUYING.wish(Customer(tmp_path, system.client))
        await assert_settled(system, order_id, BUYING)
        assert await dead_letters(foreigner(system, "embedded")) == {}
