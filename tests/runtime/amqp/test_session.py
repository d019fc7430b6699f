"""One live connection: what a call without an answer costs."""

import pytest

from runtime.amqp.address import Address
from runtime.amqp.session import connect, plain
from runtime.errors import BrokerLost, DeadlineExceeded
from tests.harness.proxy import proxy_to


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
