"""Foreign clients against the embedded broker: whoever speaks AMQP 0-9-1 can use it."""

import shutil
import subprocess
from collections.abc import Iterator

import aio_pika
import aiormq
import anyio
import pika
import pytest
from aiormq.abc import DeliveredMessage

from tests.harness.embedded import EmbeddedServer

TOOLS = ("amqp-declare-queue", "amqp-publish", "amqp-get", "amqp-consume")
missing_tools = [tool for tool in TOOLS if shutil.which(tool) is None]


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


async def test_aiormq_publishes_consumes_and_settles(broker: EmbeddedServer) -> None:
    connection = await aiormq.connect(broker.url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.exchange_declare("aiormq", exchange_type="topic", durable=True)
    await channel.queue_declare("aiormq", durable=True, arguments={"x-queue-type": "quorum"})
    await channel.queue_bind("aiormq", "aiormq", "#")
    await channel.basic_qos(prefetch_count=10)
    bodies: list[bytes] = []
    done = anyio.Event()

    async def take(message: DeliveredMessage) -> None:
        assert message.delivery_tag is not None
        if not message.redelivered:
            await channel.basic_nack(message.delivery_tag, requeue=True)
            return
        bodies.append(message.body)
        await channel.basic_ack(message.delivery_tag)
        if len(bodies) == 20:
            done.set()

    await channel.basic_consume("aiormq", take, consumer_tag="c")
    for number in range(20):
        properties = aiormq.spec.Basic.Properties(delivery_mode=2, message_id=f"{number}")
        answer = await channel.basic_publish(
            f"{number}".encode(), exchange="aiormq", routing_key="k", properties=properties
        )
        assert isinstance(answer, aiormq.spec.Basic.Ack)
    with anyio.fail_after(10):
        await done.wait()
    assert sorted(map(int, bodies)) == list(range(20))
    await connection.close()


async def test_aiormq_is_told_why_a_channel_closes(broker: EmbeddedServer) -> None:
    connection = await aiormq.connect(broker.url)
    channel = await connection.channel()
    with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity, match="no queue 'missing'"):
        await channel.queue_declare("missing", passive=True)
    channel = await connection.channel()
    await channel.queue_declare("there")
    with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed, match="inequivalent arg"):
        await channel.queue_declare("there", durable=True)
    await connection.close()


async def test_a_wrong_password_is_refused(broker: EmbeddedServer) -> None:
    with pytest.raises(aiormq.exceptions.ProbableAuthenticationError, match="ACCESS_REFUSED"):
        await aiormq.connect(broker.url.replace("guest:guest", "guest:wrong"))


async def test_aio_pika_goes_through_a_delay_queue(broker: EmbeddedServer) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        work = await channel.declare_queue("aio-pika.work", exclusive=True)
        await channel.declare_queue(
            "aio-pika.delay",
            exclusive=True,
            arguments={
                "x-message-ttl": 20,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "aio-pika.work",
            },
        )
        message = aio_pika.Message(b"again", headers={"x-attempt": 1})
        await channel.default_exchange.publish(message, "aio-pika.delay")
        with anyio.fail_after(10):
            async with work.iterator() as messages:
                async for delivered in messages:
                    async with delivered.process():
                        assert delivered.body == b"again"
                        assert delivered.headers["x-attempt"] == 1
                        assert delivered.headers["x-first-death-reason"] == "expired"
                    break


async def test_aio_pika_gets_returned_messages(broker: EmbeddedServer) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel(on_return_raises=True)
        with pytest.raises(aio_pika.exceptions.DeliveryError):
            await channel.default_exchange.publish(aio_pika.Message(b"m"), "no such queue")


def test_pika_publishes_and_gets(broker: EmbeddedServer) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        name = channel.queue_declare("", exclusive=True).method.queue
        large = bytes(300_000)
        channel.basic_publish("", name, large, mandatory=True)
        _, _, body = channel.basic_get(name, auto_ack=True)
        assert body == large
        with pytest.raises(pika.exceptions.UnroutableError):
            channel.basic_publish("", "no such queue", b"m", mandatory=True)


@pytest.mark.skipif(bool(missing_tools), reason=f"amqp-tools are missing: {missing_tools}")
def test_the_command_line_tools_of_librabbitmq(broker: EmbeddedServer) -> None:
    def tool(name: str, *arguments: str, typed: str = "") -> str:
        done = subprocess.run(
            [name, "--url", broker.url.rstrip("/"), *arguments],
            input=typed,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout

    assert tool("amqp-declare-queue", "--queue", "tools", "--durable").strip() == "tools"
    for body in ("one", "two"):
        tool("amqp-publish", "--routing-key", "tools", "--persistent", "--body", body)
    assert tool("amqp-get", "--queue", "tools") == "one"
    assert tool("amqp-consume", "--queue", "tools", "--count", "1", "cat") == "two"
