"""The straightforward way: FastStream on RabbitMQ, eventsourcing on SQLite, the same shop.

The same chain as ordermill: placed over HTTP; payment begins and captures; shipping begins,
prepares and ships; two mails, each a file that is synced before it has its name. 6 events, 3
messages, 4 deliveries an order. Tuned as its documentation advises: uvloop and httptools (its CLI's
own choice), prefetch 100, one order store a process with the aggregate cache.

``--safe`` brings it near ordermill's guarantees: the notification log as outbox (a relay publishes
from it, pipelined, and commits how far it is), deduplication by eventsourcing's `Tracking` in the
transaction of the save, and quorum queues. Without it a crash between save and publish loses the
message, and a second copy is worked on twice. Neither has an idempotent API, retries with delays,
dead letters, a payment provider with a ledger of its own, or supervision.

Run alone: ``python -m bench.rivals.faststream_shop --broker URL --folder DIR [--safe]``.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import anyio
import uvicorn
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, DomainEventProtocol, event
from eventsourcing.persistence import ApplicationRecorder, IntegrityError, Tracking
from eventsourcing.sqlite import SQLiteProcessRecorder
from faststream.asgi import AsgiFastStream, AsgiResponse, Request, post
from faststream.rabbit import (
    Channel,
    ExchangeType,
    QueueType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)
from pydantic import BaseModel

SERVICES = ("http", "payment", "shipping", "notification")
SHARES = {"all": SERVICES, **{name: (name,) for name in SERVICES}}
PREFETCH = 100
Kind = Literal[QueueType.QUORUM, QueueType.CLASSIC]
MUG = 1450


class Placing(BaseModel):
    """The body of a request."""

    customer: dict[str, str]
    items: list[dict[str, Any]]
    shipping_address: dict[str, str]
    payment: dict[str, str]


class Refused(Exception):
    """The order's rules say no."""


class Order(Aggregate):
    """An order and its rules."""

    class Placed(Aggregate.Created):
        """It was placed."""

        customer: dict[str, str]
        items: list[dict[str, Any]]
        address: dict[str, str]
        payment: dict[str, str]
        total: int

    @event(Placed)
    def __init__(
        self,
        customer: dict[str, str],
        items: list[dict[str, Any]],
        address: dict[str, str],
        payment: dict[str, str],
        total: int,
    ) -> None:
        self.customer, self.items, self.address = customer, items, address
        self.total, self.status = total, "placed"

    def advance(self, before: str, after: str, reference: str = "") -> None:
        """Go on from one state to the next; refused from any other."""
        if self.status != before:
            raise Refused(f"{self.id} is {self.status}, not {before}")
        self._advanced(status=after, reference=reference)

    @event("Advanced")
    def _advanced(self, status: str, reference: str) -> None:
        self.status = status


class Orders(Application[UUID]):
    """The order store; with tracking where it is to recognise what it has seen."""

    log_section_size = 100

    def construct_recorder(self) -> ApplicationRecorder:
        """Use a recorder that tracks, too."""
        return self.factory.process_recorder()

    def save_once(self, order: Order, queue: str, message_id: int) -> None:
        """Save, and remember the message in the same transaction."""
        self.events.put(order.collect_events(), tracking=Tracking(queue, message_id))

    @property
    def tracker(self) -> SQLiteProcessRecorder:
        """The recorder, as what it is."""
        assert isinstance(self.recorder, SQLiteProcessRecorder)
        return self.recorder

    def has_seen(self, queue: str, message_id: int) -> bool:
        """Whether this very message is tracked: `has_tracking_id` takes all before it for seen."""
        query = "SELECT 1 FROM tracking WHERE application_name = ? AND notification_id = ?"
        with self.tracker.datastore.transaction(commit=False) as cursor:
            cursor.execute(query, (queue, message_id))
            return cursor.fetchone() is not None


class Shop:
    """The services of one process."""

    def __init__(self, folder: Path, broker: RabbitBroker, *, safe: bool, alone: bool) -> None:
        self.orders = Orders(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                "SQLITE_DBNAME": str(folder / "orders.db"),
                "SQLITE_LOCK_TIMEOUT": "30",
                "SINGLE_ROW_TRACKING": "n",
                "AGGREGATE_CACHE_MAXSIZE": "10000",
                # Others may have written, if there are other processes.
                "AGGREGATE_CACHE_FASTFORWARD": "n" if alone else "y",
                "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
            }
        )
        # Its look for an older table, in the transaction of the first insert, ends in "database is
        # locked" where another process writes in between. Ours is new.
        self.orders.tracker.has_checked_for_multi_row_tracking_table = True
        self._broker = broker
        self._safe = safe
        # What other processes save wakes nobody here.
        self._poll_s = 0.5 if alone else 0.02
        self._saved = asyncio.Event()
        self._mails = folder / "mail"
        for name in ("tmp", "new"):
            (self._mails / name).mkdir(parents=True, exist_ok=True)

    async def place(self, body: bytes) -> UUID:
        """Place an order."""
        asked = Placing.model_validate_json(body)
        total = sum(MUG * int(item["quantity"]) for item in asked.items)
        order = Order(asked.customer, asked.items, asked.shipping_address, asked.payment, total)
        self.orders.save(order)
        await self._tell(order.id, "orders.order-created")
        return order.id

    async def pay(self, message: RabbitMessage) -> None:
        """Take the money for a new order."""
        order = self._order(message, "payment")
        if order is not None:
            order.advance("placed", "authorizing")
            self.orders.save(order)
            order.advance("authorizing", "paid", reference=f"ch_{order.id}")
            await self._finish(order, message, "payment", "payment.payment-captured")

    async def ship(self, message: RabbitMessage) -> None:
        """Prepare what was paid, and give it to the carrier."""
        order = self._order(message, "shipping")
        if order is not None:
            order.advance("paid", "preparing")
            self.orders.save(order)
            order.advance("preparing", "prepared", reference=f"par_{order.id}")
            self.orders.save(order)
            order.advance("prepared", "shipped", reference=f"DHL {order.id}")
            await self._finish(order, message, "shipping", "shipping.shipped")

    async def notify(self, message: RabbitMessage) -> None:
        """Mail the customer."""
        order = self._order(message, "notification")
        if order is None:
            return
        key = message.raw_message.routing_key or ""
        template = "order-shipped" if key == "shipping.shipped" else "order-received"
        text = (
            f"To: {order.customer['email']}\nSubject: {template}\n\nDear {order.customer['name']}"
        )
        await asyncio.to_thread(self._write, f"{order.id}.{message.message_id}.{template}", text)
        if self._safe:
            self.orders.tracker.insert_tracking(Tracking("notification", int(message.message_id)))

    def _order(self, message: RabbitMessage, queue: str) -> Order | None:
        """Return the message's order; None if the message was worked on before."""
        if self._safe and self.orders.has_seen(queue, int(message.message_id)):
            return None
        order: Order = self.orders.repository.get(UUID(message.body.decode()))
        return order

    async def _finish(
        self, order: Order, message: RabbitMessage, queue: str, routing_key: str
    ) -> None:
        if self._safe:
            with contextlib.suppress(IntegrityError):  # another copy was faster
                self.orders.save_once(order, queue, int(message.message_id))
        else:
            self.orders.save(order)
        await self._tell(order.id, routing_key)

    async def _tell(self, order_id: UUID, routing_key: str) -> None:
        if self._safe:
            self._saved.set()
        else:
            await self._publish(order_id, routing_key, "0")

    async def _publish(self, order_id: UUID, routing_key: str, message_id: str) -> None:
        await self._broker.publish(
            str(order_id).encode(),
            exchange=routing_key.partition(".")[0],
            routing_key=routing_key,
            message_id=message_id,
            mandatory=True,
            persist=True,
        )

    async def relay(self) -> None:
        """Publish what the notification log holds, in its order, and remember how far."""
        position = self.orders.tracker.max_tracking_id("relay") or 0
        while True:
            self._saved.clear()
            found = self.orders.notification_log.select(position + 1, 100)
            told = [(note, key) for note in found if (key := self._routing_key(note))]
            await asyncio.gather(
                *(self._publish(UUID(str(n.originator_id)), key, str(n.id)) for n, key in told)
            )
            if found:
                position = found[-1].id
                self.orders.tracker.insert_tracking(Tracking("relay", position))
            else:
                with anyio.move_on_after(self._poll_s):
                    await self._saved.wait()

    def _routing_key(self, notification: Any) -> str:
        if notification.topic.endswith("Order.Placed"):
            return "orders.order-created"
        known: DomainEventProtocol[UUID] = self.orders.mapper.to_domain_event(notification)
        status = getattr(known, "status", "")
        return {"paid": "payment.payment-captured", "shipped": "shipping.shipped"}.get(status, "")

    def _write(self, name: str, text: str) -> None:
        draft, final = self._mails / "tmp" / name, self._mails / "new" / name
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(final)
        folder = os.open(final.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def command_for(folder: Path, broker_url: str, share: str, *, safe: bool) -> list[str]:
    """Return the command that runs a share of the services."""
    command = [sys.executable, "-m", "bench.rivals.faststream_shop", "--broker", broker_url]
    command += ["--folder", str(folder), "--share", share]
    return [*command, "--safe"] if safe else command


def application(arguments: argparse.Namespace, port: int) -> AsgiFastStream:
    """Return the application: subscribers of this share, and the HTTP route."""
    services = SHARES[arguments.share]
    channel = Channel(prefetch_count=PREFETCH)
    broker = RabbitBroker(arguments.broker, default_channel=channel, logger=None)
    alone = arguments.share == "all"
    shop = Shop(Path(arguments.folder), broker, safe=arguments.safe, alone=alone)
    kind: Kind = QueueType.QUORUM if arguments.safe else QueueType.CLASSIC
    _subscribe(broker, shop, services, kind)

    @post
    async def place(request: Request) -> AsgiResponse:
        order_id = await shop.place(await request.body())
        return AsgiResponse(f'{{"id":"{order_id}"}}'.encode(), 201)

    app = AsgiFastStream(broker, logger=None, asgi_routes=[("/orders", place)])
    relaying: list[asyncio.Task[None]] = []

    @app.after_startup
    async def begin() -> None:
        if arguments.safe and "http" in services:
            relaying.append(asyncio.ensure_future(shop.relay()))
            relaying[0].add_done_callback(_end_loudly)
        print(f"ready http://127.0.0.1:{port}", flush=True)

    return app


def _end_loudly(relaying: asyncio.Task[None]) -> None:
    """A relay that has failed would only look like a slow one."""
    if not relaying.cancelled() and relaying.exception() is not None:
        traceback.print_exception(relaying.exception())
        os._exit(1)


def _subscribe(
    broker: RabbitBroker, shop: Shop, services: tuple[str, ...], queue_type: Kind
) -> None:
    wanted = {
        "payment": (shop.pay, ("orders.order-created",)),
        "shipping": (shop.ship, ("payment.payment-captured",)),
        "notification": (shop.notify, ("orders.order-created", "shipping.shipped")),
    }
    for name in services:
        if name == "http":
            continue
        handle, keys = wanted[name]
        for key in keys:
            # Its queues have one binding each: two events are two queues.
            queue = RabbitQueue(f"{name}.{key}", queue_type, durable=True, routing_key=key)
            exchange = RabbitExchange(key.partition(".")[0], ExchangeType.TOPIC, durable=True)
            broker.subscriber(queue, exchange)(handle)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="The rival: FastStream and eventsourcing.")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--share", choices=sorted(SHARES), default="all")
    parser.add_argument("--safe", action="store_true")
    arguments = parser.parse_args()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        app = application(arguments, listener.getsockname()[1])
        config = uvicorn.Config(
            app, loop="uvloop", http="httptools", log_level="warning", access_log=False
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
