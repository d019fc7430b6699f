"""Traps of aiormq 7.2.4, each as it is: what runtime/amqp defends against.

A test that fails here is good news: the library has been mended, and the defence that the test
names may go. Three more traps are pinned beside their defences: a stray cancellation in a task
group (`test_awaiting`), two messages of one id in flight (`test_publisher`), and properties that
end the connection (`test_transport`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiormq
import anyio
import pytest
from aiormq.connection import parse_heartbeat
from aiormq.exceptions import InvalidFrameError
from pamqp import commands
from yarl import URL

from tests.harness.false_broker import FalseBroker, false_broker, marshal
from tests.harness.peer import peer_at
from tests.harness.proxy import proxy_to
from tests.harness.waiting import eventually, until

STILL_S = 1.0  # what does not happen within this does not happen
MIB = 1 << 20


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[aiormq.abc.AbstractConnection]:
    connection = await aiormq.connect(url)
    try:
        yield connection
    finally:
        # Not awaited in this task: see `test_closing_lets_a_cancellation_out_of_a_scope`.
        await asyncio.wait([asyncio.ensure_future(connection.close())], timeout=2.0)


async def _ends(call: object, within_s: float) -> bool:
    """Whether this call ends in time; it is cancelled then."""
    task = asyncio.ensure_future(call)  # type: ignore[call-overload]
    await asyncio.wait([task], timeout=within_s)
    ended = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return ended


@pytest.mark.parametrize("broker_url", ["embedded"], indirect=True)
async def test_a_publish_ends_in_a_cancellation_when_the_broker_falls_silent(
    broker_url: str,
) -> None:
    """`awaiting.bounded` makes `BrokerLost` of it."""
    async with proxy_to(broker_url) as proxy:
        connection = await aiormq.connect(f"{proxy.url(broker_url)}?heartbeat=1")
        channel = await connection.channel()
        await channel.queue_declare("q")
        proxy.freeze()
        task = asyncio.ensure_future(channel.basic_publish(b"", routing_key="q"))
        done, _ = await asyncio.wait([task], timeout=20)
        assert done
        assert task.cancelled()  # and nobody has cancelled it


async def test_connecting_waits_for_ever_for_a_peer_that_is_silent() -> None:
    """`session.connect` bounds it: the timeout in the URL is read and not used."""
    async with false_broker(FalseBroker({"greeting": b""})) as broker:
        assert not await _ends(aiormq.connect(f"{broker.url}?timeout=1"), 1 + STILL_S)


async def test_opening_a_channel_bounds_one_of_its_two_questions() -> None:
    """`Session.channel` bounds both."""
    async with (
        false_broker(FalseBroker({"Confirm.Select": b""})) as broker,
        connected(broker.url) as connection,
    ):
        assert not await _ends(connection.channel(timeout=0.1), STILL_S)


async def test_closing_lets_a_cancellation_out_of_a_scope() -> None:
    """`awaiting.finish` closes in a task that belongs to nobody."""
    async with false_broker(FalseBroker({"Connection.Close": b""})) as broker:
        connection = await aiormq.connect(broker.url)
        escaped = False
        try:
            with anyio.move_on_after(0.1):
                await connection.close()
        except asyncio.CancelledError:
            escaped = True
        assert escaped


@pytest.mark.parametrize("broker_url", ["embedded"], indirect=True)
async def test_a_consumer_whose_queue_is_deleted_stops_in_silence(broker_url: str) -> None:
    """`DeliveryChannel` sees the Cancel, and `Consumer` declares and consumes again."""
    async with peer_at(broker_url) as peer, connected(broker_url) as connection:
        await peer.queue("q")
        channel = await connection.channel()
        consumed = await channel.basic_consume("q", _ignore)
        await peer.channel.queue_delete("q")
        await until(lambda: consumed.consumer_tag not in channel.consumers)
        assert not channel.is_closed
        assert not connection.is_closed


@pytest.mark.parametrize("broker_url", ["embedded"], indirect=True)
async def test_a_callback_that_raises_leaves_its_message_where_it_is(broker_url: str) -> None:
    """`DeliveryChannel` calls a function that only puts into a mailbox."""
    async with peer_at(broker_url) as peer:
        await peer.queue("q")
        called = anyio.Event()

        async def fail(message: object) -> None:
            called.set()
            raise ValueError

        async with connected(broker_url) as connection:
            channel = await connection.channel()
            await channel.basic_consume("q", fail)
            await peer.put("q", message_id="m1")
            await called.wait()
            assert await peer.ready("q") == 0  # neither acked nor given back
            assert not channel.is_closed
        assert await eventually(lambda: peer.ready("q")) == 1


@pytest.mark.parametrize("broker_url", ["embedded"], indirect=True)
async def test_what_no_queue_takes_is_confirmed_by_default(broker_url: str) -> None:
    """`wire.encode_publish` writes mandatory, and persistent, always."""
    async with peer_at(broker_url) as peer:
        confirm = await peer.channel.basic_publish(b"lost", routing_key="nowhere")
        assert isinstance(confirm, commands.Basic.Ack)
        await peer.queue("q")
        await peer.channel.basic_publish(b"", routing_key="q")
        got = await peer.get("q")
        assert got is not None
        assert got.header.properties.delivery_mode in (None, 1)


async def test_a_blocked_connection_is_not_told_to_who_publishes() -> None:
    """`FrameReader` sees Blocked, and the link says that it is stalled."""
    blocked = marshal(commands.Connection.Blocked("low on memory"), 0)
    async with (
        false_broker(FalseBroker({"Basic.Publish": blocked})) as broker,
        connected(broker.url) as connection,
    ):
        channel = await connection.channel()
        assert not await _ends(channel.basic_publish(b"", routing_key="q"), STILL_S)
        assert not channel.is_closed
        assert not connection.is_closed


async def test_an_announced_length_is_believed() -> None:
    """`FrameReader` refuses a frame that is longer than what was agreed on."""
    long_frame = b"\x03\x00\x01" + (1 << 30).to_bytes(4, "big")
    broker = FalseBroker(after={"Channel.Open": long_frame}, flood=bytes(MIB), flood_max=8 * MIB)
    async with false_broker(broker), connected(broker.url) as connection:
        opening = asyncio.ensure_future(connection.channel())
        with anyio.fail_after(10):
            await broker.flooded.wait()  # all of it was taken, for a gigabyte to come
        assert not connection.is_closed
        broker.cut()
        await asyncio.gather(opening, return_exceptions=True)


async def test_the_brokers_reason_to_refuse_a_virtual_host_is_lost() -> None:
    """Our handshake looks at Close first."""
    close = marshal(commands.Connection.Close(530, "NOT_ALLOWED - vhost x not found", 0, 0), 0)
    async with false_broker(FalseBroker({"Connection.Open": close})) as broker:
        with pytest.raises(InvalidFrameError) as caught:
            await aiormq.connect(broker.url)
        assert "NOT_ALLOWED" not in str(caught.value)


async def test_a_broker_without_capabilities_is_a_missing_key() -> None:
    """`session.connect` refuses a broker that does not confirm."""
    greeting = marshal(commands.Connection.Start(), 0)
    async with (
        false_broker(FalseBroker({"greeting": greeting})) as broker,
        connected(broker.url) as connection,
    ):
        with pytest.raises(KeyError):
            await connection.channel()


def test_an_address_is_guessed_about_in_silence() -> None:
    """`Address` refuses all of it."""
    assert parse_heartbeat("abc") == parse_heartbeat("70000") == 0  # that is: none at all

    async def look() -> tuple[bool, str | None]:
        connection = aiormq.Connection(URL("amqps://host/?no_verify_ssl=false"))
        return connection.ssl_certs.verify, connection.url.user

    assert anyio.run(look) == (False, None)  # guest is what it would log in as


async def _ignore(message: object) -> None: ...
