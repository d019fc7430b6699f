"""A real message service on a real broker: links, inbox, hold, supervisor; the test handles."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
from aiormq.abc import DeliveredMessage

from runtime import duplicates, hold, inbox
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.session import Session
from runtime.amqp.topology import Exchange, Topology, declare, joined, service_queues
from runtime.child import SupervisorSpec
from runtime.database import Database, open_database
from runtime.host import production_host
from runtime.inbox import Claim
from runtime.jobs import Route
from runtime.message import Message
from runtime.outcomes import RetryPolicy
from runtime.service import MessageService, Surroundings
from runtime.supervisor import Supervisor
from runtime.telemetry import quiet_telemetry
from tests.harness.peer import Peer, peer_at
from tests.harness.waiting import eventually

QUEUE = "payment"


class Call(msgspec.Struct, frozen=True):
    """One call of the handler, as it began."""

    message_id: str
    attempt: int
    requeued: bool
    steps: tuple[str, ...]


class Shop:
    """A running service. ``calls`` lists what its handler was given."""

    def __init__(
        self, url: str, data_dir: Path, handle: Callable[[Message, Claim], object]
    ) -> None:
        self.url = url
        self.data_dir = data_dir
        self.handle = handle
        self.calls: list[Call] = []
        self.retry = RetryPolicy(tiers_s=(1,), attempts_max=3)
        self.hold_s = 0.0
        self.lanes = 8
        self.prefetch = 32
        self.telemetry = quiet_telemetry()

    service: MessageService
    database: Database
    publisher: LinkPublisher
    consume: Link
    stopping: anyio.Event

    def counted(self, result: str, kind: str = "order-created") -> float:
        """How many messages ended so."""
        wanted = f'queue="payment",result="{result}",type="{kind}"'
        for line in self.telemetry.render().decode().splitlines():
            if line.startswith("ordermill_messages_processed_total") and wanted in line:
                return float(line.rpartition(" ")[2])
        return 0.0

    async def states(self, *message_ids: str) -> dict[str, str]:
        """The inbox's rows."""
        found = await self.database.read(lambda sql: inbox.states_of(sql, message_ids))
        return {**found}

    async def _handle(self, message: Message, claim: Claim) -> None:
        steps = tuple(claim.completed)
        self.calls.append(Call(message.message_id, claim.attempt, message.requeued, steps))
        result = self.handle(message, claim)
        if result is not None:
            await result  # type: ignore[misc]  # an async handler's coroutine

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Shop"]:
        """Run it; leaving stops it in good order, cancelling around it is a crash."""
        host = production_host(self.data_dir)
        topology = joined(
            Topology(exchanges=(Exchange("orders"),)),
            service_queues(QUEUE, [("orders", "orders.*")], self.retry.tiers_s),
        )

        async def prepare(session: Session) -> None:
            await declare(session, topology)

        publish = Link(self.url, "publish", host, self.telemetry, reconnect_s_max=0.2)
        self.consume = Link(
            self.url, "consume", host, self.telemetry, prepare=prepare, reconnect_s_max=0.2
        )
        self.publisher = LinkPublisher(publish, self.telemetry, deadline_s=5.0)
        migrations = (inbox.SCHEMA, hold.SCHEMA, duplicates.SCHEMA)
        async with open_database(host.disk, "payment.db", migrations) as self.database:
            self.service = MessageService(
                QUEUE,
                {"order-created": Route(self._handle, self.hold_s)},
                key=lambda message: message.correlation_id,
                around=Surroundings(
                    link=self.consume,
                    publisher=self.publisher,
                    database=self.database,
                    host=host,
                    telemetry=self.telemetry,
                    retry=self.retry,
                    lanes=self.lanes,
                    prefetch=self.prefetch,
                ),
            )
            children = (publish.child(), self.consume.child(), self.service.spec())
            supervisor = Supervisor(SupervisorSpec("shop", children), host, self.telemetry)
            self.stopping, started = anyio.Event(), anyio.Event()

            async def run() -> None:
                await supervisor.run(self.stopping, started=started.set)

            async with anyio.create_task_group() as group:
                group.start_soon(run)
                with anyio.fail_after(20):
                    await started.wait()
                    await self.consume.session()
                yield self
                self.stopping.set()


def order(number: int, key: str = "order-1", **changes: object) -> Message:
    """An event of the order ``key``, with its own id."""
    made = Message(
        message_id=f"evt_{number}",
        type="order-created/v1",
        body=b"{}",
        correlation_id=key,
        app_id="tests",
        timestamp=1_700_000_000,
        headers={"x-order-correlation": "cor_1"},
    )
    return msgspec.structs.replace(made, **changes)


async def dead(peer: Peer) -> DeliveredMessage:
    """Return what was parked, once something was."""
    return await eventually(lambda: peer.get(f"{QUEUE}.dead"))


async def left_over(url: str) -> list[str]:
    """Ids of what the service's queues still hold once it has stopped."""
    ids: list[str] = []
    async with peer_at(url) as peer:
        for queue in (QUEUE, f"{QUEUE}.retry.1s", f"{QUEUE}.dead"):
            while (message := await peer.get(queue)) is not None:
                ids.append(message.header.properties.message_id or "")
    return ids


async def send(shop: Shop, *messages: Message) -> None:
    """Publish messages to the service's queue."""
    for message in messages:
        await shop.publisher.publish("orders", "orders.order-created", message)
