"""One live connection: what a call without an answer costs."""

import asyncio

import anyio
import pytest
from aiormq.channel import Channel

from runtime.amqp.address import Address
from runtime.amqp.session import connect, plain
from runtime.errors import BrokerLost, DeadlineExceeded
from tests.harness.false_broker import FalseBroker, false_broker
from tests.harness.proxy import proxy_to
from tests.harness.waiting import until


async def test_a_channel_that_is_not_opened_in_time_costs_the_session(broker_url: str) -> None:
    """Its number would be free for us and taken for the broker: a channel error at the next use."""
    async with proxy_to(broker_url) as proxy:
        session = await connect(Address.parse(proxy.url(broker_url)), 10, "test", 1)
        await session.channel(plain)
        proxy.withhold()
        with pytest.raises(DeadlineExceeded):
            await session.channel(plain, within_s=0.2)
        assert session.lost.is_set()
        assert "no answer" in session.reason
        proxy.thaw()
        with pytest.raises(BrokerLost):
            await session.channel(plain)


async def test_a_channel_that_closes_slowly_is_told_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second Channel.Close would be an error of the whole connection, with all who use it."""
    monkeypatch.setattr("runtime.amqp.session.CLOSE_S_MAX", 0.05)
    async with false_broker(FalseBroker({"Channel.Close": b""})) as broker:
        session = await connect(Address.parse(broker.url), 10, "test", 1)
        channel = await session.channel(plain)
        await session.end(channel)
        assert not channel.is_closed
        other = await session.channel(plain)
        assert other.number != channel.number
        await until(lambda: "Channel.Close" in broker.heard)
        assert broker.heard.count("Channel.Close") == 1
        assert not session.lost.is_set()
        session.abandon("seen enough")


class WaitsForASecondAnswer(Channel):
    """aiormq's channel, where its closing was cancelled from inside: it does not see the end."""

    async def close(self, *_: object, **__: object) -> None:
        await anyio.sleep_forever()


@pytest.mark.parametrize("ending", ["close", "abandon"])
async def test_no_closing_outlives_the_connection(
    broker_url: str, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Nobody can answer it any more, and a process that stops in order leaves no task behind."""
    session = await connect(Address.parse(broker_url), 10, "test", 1)
    channel = await session.channel(WaitsForASecondAnswer)
    with monkeypatch.context() as patch:
        patch.setattr("runtime.amqp.session.CLOSE_S_MAX", 0.05)
        await session.end(channel)
    if ending == "close":
        await session.close()
    else:
        session.abandon("seen enough")
    with anyio.fail_after(2):  # a call is bounded by five seconds
        await until(lambda: not any("Session._close" in repr(one) for one in asyncio.all_tasks()))


async def test_a_channel_that_never_closes_costs_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runtime.amqp.session.CLOSE_S_MAX", 0.05)
    monkeypatch.setattr("runtime.amqp.session.OPEN_S_MAX", 0.2)
    async with false_broker(FalseBroker({"Channel.Close": b""})) as broker:
        session = await connect(Address.parse(broker.url), 10, "test", 1)
        channel = await session.channel(plain, within_s=5)
        await session.end(channel)
        with anyio.fail_after(5):
            await session.lost.wait()
        assert session.reason == "close a channel: no answer from the broker within 0.2 s"
