"""A RabbitMQ that is there and does not play along: alarms, a wrong password, its queues changed.

One process runs all services; each test leaves it, and the node, in good order.
"""

import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.to_thread
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from tests.harness.apart import Apart, ApartSystem
from tests.harness.outage import (
    Customers,
    all_ready,
    assert_prepared_once,
    census,
    checks_say,
    links,
    ordering,
    seen,
)
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.waiting import eventually

pytestmark = pytest.mark.rabbitmq
ALL = "all"
SETTINGS = (
    *("payment.hold_s=0", "shipping.hold_s=0", "retry.tiers_s=1", "api.rate_per_min=0"),
    *("log.format=json", "broker.confirm_timeout_s=2"),
)
USER, PASSWORD = "shop", "a-password-of-its-own"
TOLD_S = 20.0
UNBLOCKED_S = 10.0
# Who was refused waits 5 s, and then up to `broker.reconnect_s_max`.
LET_IN_S = 12.0


class Node:
    """The node, and the account that the services use."""

    def __init__(self, node: RabbitMQ) -> None:
        self._node = node
        self.vhost = node.vhost()
        permissions = f'<<"{USER}">>, <<"{self.vhost}">>, <<".*">>, <<".*">>, <<".*">>'
        self._evaluate(
            f'ok = rabbit_auth_backend_internal:add_user(<<"{USER}">>, <<"{PASSWORD}">>, <<"x">>), '
            f'ok = rabbit_auth_backend_internal:set_permissions({permissions}, <<"x">>).'
        )

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{PASSWORD}@{self._node.host}:{self._node.port}/{self.vhost}"

    async def control(self, *arguments: str) -> None:
        await anyio.to_thread.run_sync(self._node.control, *arguments)

    async def change_password(self, password: str) -> None:
        """Let nobody stay, and nobody in with another password."""
        await anyio.to_thread.run_sync(
            self._evaluate,
            f'ok = rabbit_auth_backend_internal:change_password(<<"{USER}">>, <<"{password}">>, '
            f'<<"x">>), rabbit_networking:close_all_user_connections(<<"{USER}">>, <<"a test">>).',
        )

    def refusals(self) -> int:
        """How many logins failed so far, by the node's own log."""
        return self._node.log().count("invalid credentials")

    async def visit(self, work: Callable[[BlockingChannel], object]) -> None:
        """Do something by a channel of the operator's."""
        address = f"amqp://guest:guest@{self._node.host}:{self._node.port}/{self.vhost}"

        def visit() -> None:
            connection = pika.BlockingConnection(pika.URLParameters(address))
            try:
                work(connection.channel())
            finally:
                connection.close()

        await anyio.to_thread.run_sync(visit)

    def _evaluate(self, text: str) -> None:
        self._node.control("eval", text)


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitMQ) -> Node:
    return Node(rabbitmq)


@pytest.fixture(scope="module")
def apart(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    processes = Apart(tmp_path_factory.mktemp("unwilling"), node.url, *SETTINGS)
    try:
        processes.start(ALL)
        yield processes
    finally:
        processes.close()


async def nothing(apart: Apart) -> bool:
    """What an operator has to do after most outages."""
    return True


async def offer_again(apart: Apart) -> bool:
    """Offer what a queue has lost; refused while anything is still on its way to the broker."""
    reoffer = ("outbox", "reoffer", "--older-than", "0s", "--yes")
    return (await anyio.to_thread.run_sync(apart.operate, *reoffer)).returncode == 0


@asynccontextmanager
async def an_outage(
    apart: Apart, heal: Callable[[Apart], Awaitable[bool]] = nothing
) -> AsyncIterator[tuple[ApartSystem, Customers]]:
    """Customers order meanwhile; afterwards nobody is missing, and everything happened once."""
    async with seen(apart) as system:
        await assert_prepared_once(system, [await system.place()])
        before = await census(system)
        assert set(before.values()) == {"running"}
        async with ordering(system) as customers:
            yield system, customers
        assert customers.slowest_s < 5
        await eventually(lambda: heal(apart), 60.0)
        await assert_prepared_once(system, customers.orders)
        assert await census(system) == before


def lines(system: ApartSystem, event: str) -> list[dict[str, str]]:
    """Return the process's log lines of one event so far."""
    said = system.apart.process(ALL).said().splitlines()
    found = [json.loads(line) for line in said if line.startswith("{")]
    return [line for line in found if line["event"] == event]


@pytest.mark.parametrize(
    ("raise_it", "end_it", "reason"),
    [
        (
            ("set_vm_memory_high_watermark", "0.00001"),
            ("set_vm_memory_high_watermark", "0.4"),
            "low on memory",
        ),
        (("set_disk_free_limit", "8000000GB"), ("set_disk_free_limit", "1MB"), "low on disk"),
    ],
    ids=["memory", "disk"],
)
async def test_an_alarm_holds_the_messages_back_and_nothing_else(
    apart: Apart, node: Node, raise_it: tuple[str, str], end_it: tuple[str, str], reason: str
) -> None:
    async with an_outage(apart) as (system, customers):
        said = len(lines(system, "broker.stalled"))
        await node.control(*raise_it)
        try:
            await checks_say(system, "order-events", "broker", f"stalled .*{reason}", TOLD_S)
            accepted = len(customers.orders)
            # Long enough for several confirms to be overdue: it is told once all the same.
            await checks_say(system, "order-events", "broker", "stalled ([6-9]|[1-9][0-9])s", 30)
            states = await links(system)
            assert states.pop("publish") == "stalled"
            assert set(states.values()) == {"connected"}
            assert len(customers.orders) > accepted
        finally:
            await node.control(*end_it)
        await all_ready(system, "order-events", within_s=UNBLOCKED_S)
        told = lines(system, "broker.stalled")[said:]
        assert [(line["role"], line["error"]) for line in told] == [("publish", reason)]


async def test_a_password_that_is_no_longer_good_is_an_outage_and_no_storm(
    apart: Apart, node: Node
) -> None:
    async with an_outage(apart) as (system, _):
        said = len(lines(system, "broker.refused"))
        refused = node.refusals()
        began = anyio.current_time()
        await node.change_password("another")
        try:
            await checks_say(system, "order-events", "broker", "refused .*account", TOLD_S)

            async def all_refused() -> bool:
                return set((await links(system)).values()) == {"refused"}

            await eventually(all_refused)
            await anyio.sleep(10)  # a storm would be hundreds of attempts by then
            attempts = node.refusals() - refused
            roles = len(await links(system))
            assert roles <= attempts <= roles * (1 + (anyio.current_time() - began) / 5)
        finally:
            await node.change_password(PASSWORD)
        await all_ready(system, "order-events", within_s=LET_IN_S)
        told = lines(system, "broker.refused")[said:]
        assert len(told) == roles
        assert all("refused the user name or password" in line["error"] for line in told)
        assert PASSWORD not in system.apart.process(ALL).said()


async def test_a_queue_that_is_deleted_under_its_consumer_is_back_in_no_time(
    apart: Apart, node: Node
) -> None:
    async with an_outage(apart, offer_again) as (system, customers):
        said = len(lines(system, "consumer.ended"))
        await eventually(lambda: _some(customers))
        await node.visit(lambda channel: channel.queue_delete("payment"))

        async def consumed() -> bool:
            found: list[int] = []

            def look(channel: BlockingChannel) -> None:
                with suppress(ChannelClosedByBroker):  # it is not there yet
                    method = channel.queue_declare("payment", passive=True).method
                    found.append(method.consumer_count)

            await node.visit(look)
            return found == [1]

        await eventually(consumed, 5.0)
        (told,) = lines(system, "consumer.ended")[said:]
        assert told["queue"] == "payment"
        assert "its queue was deleted" in told["error"]
        assert (await system.checks("order-events"))[0] == 200


async def test_a_queue_that_came_back_with_other_arguments_is_told_and_waited_for(
    apart: Apart, node: Node
) -> None:
    async with an_outage(apart) as (system, _):
        process = apart.process(ALL)
        os.kill(process.pid, signal.SIGSTOP)  # it must not be the first to declare it again
        try:

            def replace(channel: BlockingChannel) -> None:
                channel.queue_delete("shipping")
                channel.queue_declare("shipping", durable=True, arguments={"x-max-length": 5})

            await node.visit(replace)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        await checks_say(system, "order-events", "broker", "refused .*topology", TOLD_S)
        told = lines(system, "broker.refused")[-1]
        assert told["role"] == "consume-shipping"
        assert "for queue 'shipping'" in told["error"]
        assert (await links(system))["consume-payment"] == "connected"
        await node.visit(lambda channel: channel.queue_delete("shipping"))
        await all_ready(system, "order-events", within_s=LET_IN_S)


async def test_a_dead_queue_that_takes_nothing_holds_up_no_order(apart: Apart, node: Node) -> None:
    async with an_outage(apart) as (system, _):
        stuck = f"'{node.vhost}_payment.dead'"
        await node.control("eval", f"ok = sys:suspend({stuck}).")
        try:
            key = "orders.order-created"
            await node.visit(lambda channel: channel.basic_publish("orders", key, b"not JSON"))

            async def copies_wait() -> bool:
                return (await links(system))["copy"] == "stalled"

            await eventually(copies_wait)
            for _ in range(3):
                await (await system.place()).wait_for("shipping-prepared", within_s=10)
            assert (await links(system))["publish"] == "connected"
        finally:
            await node.control("eval", f"ok = sys:resume({stuck}).")
        await all_ready(system, "order-events", within_s=UNBLOCKED_S)
        parked: list[bytes] = []

        def take(channel: BlockingChannel) -> None:
            parked.extend(channel.basic_get("payment.dead", auto_ack=True)[2:])

        async def in_the_end() -> bool:
            await node.visit(take)
            return b"not JSON" in parked

        await eventually(in_the_end)
        assert lines(system, "broker.stalled")[-1]["role"] == "copy"


async def _some(customers: Customers) -> bool:
    return len(customers.orders) >= 3


def test_nothing_has_crashed(apart: Apart) -> None:
    """The last one: what all the others have made the process say."""
    process = apart.process(ALL)
    process.signal(signal.SIGTERM)
    assert process.ended() == 0
    assert "actor.crashed" not in process.output
    assert "Traceback" not in process.output
