"""A broker that talks nonsense: every session ends, soon, in bounded memory, as a lost broker."""

import os
import random
from pathlib import Path

import anyio
import pytest
from pamqp import commands

from runtime.amqp.consumer import Consumer
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.child import ChildContext
from runtime.errors import BrokerLost, BrokerRefuses
from runtime.host import Host
from runtime.telemetry import Telemetry
from tests.harness.false_broker import (
    DELIVER,
    ENDLESS_BODY,
    PART,
    FalseBroker,
    delivery,
    false_broker,
    marshal,
)
from tests.harness.running import running
from tests.harness.waiting import until
from tests.runtime.amqp.test_publisher import message

MIB = 1 << 20
WITHIN_S = 5.0
LONG_FRAME = b"\x03\x00\x01" + (1 << 30).to_bytes(4, "big")
TUNE = commands.Connection.Tune
CODES = (320, 402, 403, 404, 406, 501, 502, 503, 504, 505, 506, 530, 540, 541)


def _noise(seed: int, size: int = 4096) -> bytes:
    return random.Random(seed).randbytes(size)


HANDSHAKE = {
    "another protocol": ("greeting", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "another version": ("greeting", b"AMQP\x00\x01\x00\x00"),
    "noise": ("greeting", _noise(1)),
    "a frame of a gigabyte": ("greeting", LONG_FRAME),
    "a heartbeat for a start": ("greeting", b"\x08\x00\x00\x00\x00\x00\x00\xce"),
    "noise for a tune": ("Connection.StartOk", _noise(2)),
    "frames that are too small": ("Connection.StartOk", marshal(TUNE(2047, 8, 0), 0)),
    "another answer than open-ok": ("Connection.Open", marshal(commands.Channel.OpenOk(), 0)),
    "out of order": ("Connection.Open", DELIVER),
}
CONSUMING = {
    "a frame of a gigabyte": LONG_FRAME,
    "a frame without an end": marshal(commands.Basic.Cancel("tag"))[:-1] + b"x",
    "an unknown kind of frame": b"\x2a\x00\x01\x00\x00\x00\x00\xce",
    "an unknown method": b"\x01\x00\x01\x00\x00\x00\x04\x00\xff\x00\xff\xce",
    "a truncated method": b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\xce",
    **{f"noise {seed}": _noise(seed) for seed in range(3, 9)},
    **{
        f"closed with {code}": marshal(commands.Connection.Close(code, "x", 0, 0), 0)
        for code in CODES
    },
}
ON_THE_CHANNEL = {
    "a method where a header belongs": DELIVER * 2,
    "a header where a body belongs": delivery(10) + delivery(10).removeprefix(DELIVER),
    **{
        f"closed with {code}": marshal(commands.Channel.Close(code, "x", 0, 0))
        for code in (404, 406)
    },
}
INSTEAD_OF_A_CONFIRM = ("a frame of a gigabyte", "noise 3", "closed with 320", "closed with 541")


def _rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _link(broker: FalseBroker, host: Host, telemetry: Telemetry) -> Link:
    return Link(broker.url, "consume", host, telemetry, reconnect_s_min=0.05, reconnect_s_max=0.05)


def _consumer(link: Link) -> Consumer:
    return Consumer(link, "q", prefetch=10, feed=lambda _: None)


@pytest.mark.parametrize("name", HANDSHAKE)
async def test_nonsense_instead_of_a_handshake_is_an_attempt_that_failed(
    host: Host, telemetry: Telemetry, name: str
) -> None:
    method, line = HANDSHAKE[name]
    async with false_broker(FalseBroker({method: line})) as broker:
        link = _link(broker, host, telemetry)
        async with running(link.run):
            await until(lambda: broker.connections >= 2, WITHIN_S)
            assert link.state.state == "reconnecting"
            assert "connect to amqp://guest:***@" in link.state.reason


@pytest.mark.parametrize("name", CONSUMING)
async def test_nonsense_in_mid_session_ends_it(host: Host, telemetry: Telemetry, name: str) -> None:
    broker = FalseBroker(after={"Basic.Consume": CONSUMING[name]})
    async with false_broker(broker):
        link = _link(broker, host, telemetry)
        async with running(link.run, _consumer(link).run):
            session = await link.session()
            with anyio.fail_after(WITHIN_S):
                await session.lost.wait()
            await until(lambda: broker.connections >= 2, WITHIN_S)


@pytest.mark.parametrize("name", ON_THE_CHANNEL)
async def test_nonsense_on_the_channel_ends_the_channel_at_least(
    host: Host, telemetry: Telemetry, name: str
) -> None:
    broker = FalseBroker(after={"Basic.Consume": ON_THE_CHANNEL[name]})
    async with false_broker(broker):
        link = _link(broker, host, telemetry)
        consumer = _consumer(link)
        async with running(link.run, consumer.run):
            await until(lambda: consumer._epoch >= 1, WITHIN_S)
            await until(lambda: consumer._epoch >= 2, WITHIN_S)


async def test_a_channel_that_broke_is_not_waited_for(host: Host, telemetry: Telemetry) -> None:
    broker = FalseBroker({"Channel.Close": b""}, after={"Basic.Consume": DELIVER * 2})
    async with false_broker(broker):
        link = _link(broker, host, telemetry)
        consumer = _consumer(link)
        async with running(link.run, consumer.run):
            await until(lambda: consumer._epoch >= 2, WITHIN_S)
            (await link.session()).abandon("seen enough")


async def test_a_broker_that_confirms_nothing_is_refused(host: Host, telemetry: Telemetry) -> None:
    greeting = marshal(commands.Connection.Start(), 0)
    async with false_broker(FalseBroker({"greeting": greeting})) as broker:
        with pytest.raises(BrokerRefuses, match="does not confirm"):
            await _link(broker, host, telemetry).run(ChildContext("link"))


@pytest.mark.parametrize("name", INSTEAD_OF_A_CONFIRM)
async def test_nonsense_instead_of_a_confirm_leaves_the_message_unknown(
    host: Host, telemetry: Telemetry, name: str
) -> None:
    broker = FalseBroker({"Basic.Publish": CONSUMING[name]})
    async with false_broker(broker):
        link = _link(broker, host, telemetry)
        publisher = LinkPublisher(link, telemetry, deadline_s=WITHIN_S)
        async with running(link.run):
            with pytest.raises(BrokerLost), anyio.fail_after(WITHIN_S):
                await publisher.publish("", "q", message(1))


@pytest.mark.parametrize(
    ("beginning", "flood"),
    [(LONG_FRAME, bytes(MIB)), (delivery(ENDLESS_BODY), PART)],
    ids=["a frame of a gigabyte", "a body without an end"],
)
async def test_what_never_ends_is_not_kept(
    host: Host, telemetry: Telemetry, beginning: bytes, flood: bytes
) -> None:
    broker = FalseBroker(after={"Basic.Consume": beginning}, flood=flood, flood_max=64 * MIB)
    async with false_broker(broker):
        link = _link(broker, host, telemetry)
        async with running(link.run, _consumer(link).run):
            session = await link.session()
            before = _rss()
            await until(lambda: session.lost.is_set() or broker.flooded.is_set(), 30)
            assert _rss() - before < 32 * MIB
            session.abandon("seen enough")


async def test_a_broker_without_limits_gets_frames_of_the_usual_size(
    host: Host, telemetry: Telemetry
) -> None:
    broker = FalseBroker({"Connection.StartOk": marshal(TUNE(0, 0, 0), 0)})
    async with false_broker(broker):
        link = _link(broker, host, telemetry)
        async with running(link.run):
            session = await link.session()
            assert session._connection.connection_tune.frame_max == 131072
