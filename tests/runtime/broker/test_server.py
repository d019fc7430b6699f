"""The server around the core: stopping, slow readers, fast writers, a journal that breaks."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import aiormq
import anyio
import msgspec
import pytest
from pamqp import commands, frame
from pamqp.header import ProtocolHeader

from runtime.broker import journal
from runtime.broker.journal import Snapshot
from runtime.broker.server import BrokerServer
from runtime.child import ChildContext
from runtime.database import Database, Query, open_database
from runtime.errors import StoreUnavailable
from runtime.host import production_host
from runtime.telemetry import Telemetry, quiet_telemetry
from runtime.transaction import Work
from tests.harness.waiting import until

USERS = {"guest": "guest"}


class Running:
    def __init__(self, server: BrokerServer, context: ChildContext) -> None:
        self.server = server
        self.context = context
        self.url = f"amqp://guest:guest@127.0.0.1:{server.port}/"


@asynccontextmanager
async def running(
    folder: Path, database: Database | None, *, telemetry: Telemetry | None = None
) -> AsyncIterator[Running]:
    server = BrokerServer(
        production_host(folder),
        database,
        bind="127.0.0.1",
        port=0,
        users=USERS,
        telemetry=telemetry or quiet_telemetry(),
    )
    ready = anyio.Event()
    context = ChildContext("broker", ready.set)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, context)
        await ready.wait()
        yield Running(server, context)
        context.stopping.set()


async def test_clients_are_told_that_the_broker_goes(tmp_path: Path) -> None:
    async with running(tmp_path, None) as broker:
        stream = await anyio.connect_tcp("127.0.0.1", broker.server.port)
        login = commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US")
        await stream.send(ProtocolHeader().marshal())
        for method in (
            login,
            commands.Connection.TuneOk(10, 4096, 0),
            commands.Connection.Open("/"),
        ):
            await stream.send(frame.marshal(method, 0))
        data = b""
        while commands.Connection.OpenOk.index.to_bytes(4, "big") not in data:
            data += await stream.receive()
        broker.context.stopping.set()
        _, _, close = frame.unmarshal(await stream.receive())
        assert isinstance(close, commands.Connection.Close)
        assert (close.reply_code, close.reply_text) == (
            320,
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
        )
        await stream.send(frame.marshal(commands.Connection.CloseOk(), 0))
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        await stream.aclose()


async def test_a_stopped_broker_starts_where_it_was(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    async with open_database(host.disk, "broker.db", journal.MIGRATIONS) as database:
        for expected in range(3):
            async with running(tmp_path, database) as broker:
                connection = await aiormq.connect(broker.url)
                channel = await connection.channel()
                declared = await channel.queue_declare("q", durable=True)
                assert declared.message_count == expected
                properties = aiormq.spec.Basic.Properties(delivery_mode=2)
                await channel.basic_publish(b"m", routing_key="q", properties=properties)
                await connection.close()


async def test_a_slow_reader_holds_only_itself_up(tmp_path: Path) -> None:
    async with running(tmp_path, None) as broker:
        slow = await anyio.connect_tcp("127.0.0.1", broker.server.port)
        login = commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US")
        script = (
            (0, login),
            (0, commands.Connection.TuneOk(10, 131072, 0)),
            (0, commands.Connection.Open("/")),
            (1, commands.Channel.Open()),
            (1, commands.Queue.Declare(0, "q")),
            (1, commands.Basic.Consume(0, "q", "c", no_ack=True)),
        )
        await slow.send(ProtocolHeader().marshal())
        await slow.send(b"".join(frame.marshal(method, number) for number, method in script))
        connection = await aiormq.connect(broker.url)
        channel = await connection.channel()
        with anyio.fail_after(10):
            while broker.server.statistics().queues[0].consumers == 0:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        for _ in range(300):
            await channel.basic_publish(bytes(100_000), routing_key="q")
        left = broker.server.statistics().queues[0].ready
        assert left > 100, "the broker buffers for a client that does not read"
        received = 0
        with anyio.fail_after(20):
            while received < 300 * 100_000:
                received += len(await slow.receive())
        await slow.aclose()
        await connection.close()


class FullDisk:
    """A database that cannot commit while there is no room."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.room = True
        self.refused = 0

    async def read(self, query: Query[Snapshot]) -> Snapshot:
        return await self._database.read(query)

    async def write(self, work: Work[None]) -> None:
        if not self.room:
            self.refused += 1
            raise StoreUnavailable("disk full")
        await self._database.write(work)


PERSISTENT = aiormq.spec.Basic.Properties(delivery_mode=2)


async def test_while_the_disk_is_full_nothing_is_confirmed_and_then_everything(
    tmp_path: Path,
) -> None:
    """Nobody is cut off, and what was sent meanwhile is in the journal once there is room."""
    log: list[str] = []
    told = Telemetry(wall=lambda: 0.0, log_format="json", write=log.append)
    host = production_host(tmp_path)
    async with open_database(host.disk, "broker.db", journal.MIGRATIONS) as database:
        full = FullDisk(database)
        confirmed: list[int] = []
        async with running(tmp_path, cast("Database", full), telemetry=told) as broker:
            connection = await aiormq.connect(broker.url)
            channel = await connection.channel()
            await channel.queue_declare("q", durable=True)
            full.room = False

            async def publish(number: int) -> None:
                body = str(number).encode()
                await channel.basic_publish(body, routing_key="q", properties=PERSISTENT)
                confirmed.append(number)

            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(publish, number)
                await until(lambda: full.refused > 2)
                assert confirmed == []
                full.room = True
            assert sorted(confirmed) == [0, 1, 2]
            await connection.close()
        async with running(tmp_path, database) as broker:
            connection = await aiormq.connect(broker.url)
            channel = await connection.channel()
            assert (await channel.queue_declare("q", durable=True)).message_count == 3
            await connection.close()
    events = [msgspec.json.decode(line)["event"] for line in log]
    assert [event for event in events if "stuck" in event] == ["broker.stuck", "broker.unstuck"]


async def test_told_to_stop_a_broker_without_room_gives_the_rest_up(tmp_path: Path) -> None:
    async def stop(full: FullDisk) -> None:
        async with running(tmp_path, cast("Database", full)) as broker:
            connection = await aiormq.connect(broker.url)
            channel = await connection.channel()
            full.room = False
            publishing = channel.queue_declare("q", durable=True)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fails, publishing)
                await until(lambda: full.refused)
                broker.context.stopping.set()

    async def fails(call: Awaitable[object]) -> None:
        with pytest.raises(aiormq.exceptions.AMQPError):
            await call

    host = production_host(tmp_path)
    async with open_database(host.disk, "broker.db", journal.MIGRATIONS) as database:
        with pytest.raises(ExceptionGroup) as raised:
            await stop(FullDisk(database))
        assert raised.group_contains(StoreUnavailable)
