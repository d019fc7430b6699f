"""Should a message ever break the connection that receives it: what becomes of its neighbours.

The decoder that forgives is taken away here, so that the second line is all there is.
"""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from pamqp import commands
from pamqp.header import ContentHeader

from runtime.amqp.topology import DELIVERY_LIMIT
from tests.harness.message_service import QUEUE, Shop, order
from tests.harness.peer import immune_peer_at
from tests.harness.poison import POISON
from tests.harness.waiting import eventually, until

DEAD = f"{QUEUE}.dead"
GOOD = 120


def strict(raw: bytes) -> commands.Basic.Properties:
    """Decode as pamqp does, which raises what it likes."""
    header = ContentHeader()
    try:
        header.unmarshal(bytes(12) + raw)
    except Exception as error:
        raise RuntimeError("it breaks the connection") from error
    return header.properties


async def test_one_message_that_kills_connections_takes_none_of_its_neighbours_along(
    broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(broker_url, tmp_path, lambda message, claim: None)
    async with shop.open():
        pass
    ids = [order(number).message_id for number in range(GOOD)]
    with monkeypatch.context() as without_screen:
        without_screen.setattr("runtime.amqp.consumer.decode_properties", strict)
        async with shop.open():
            kills = 0

            async def count_kills() -> None:
                nonlocal kills
                while True:
                    await (await shop.consume.session()).lost.wait()
                    kills += 1
                    await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as watch, immune_peer_at(broker_url) as peer:
                watch.start_soon(count_kills)
                for number in range(GOOD):
                    if number == GOOD // 2:
                        poison = POISON["message id that is not UTF-8"]
                        await peer.put_raw(QUEUE, poison, b"poison")
                    message = order(number, f"order-{number}")
                    await shop.publisher.publish("", QUEUE, message)
                await until(lambda: shop.counted("ok") == GOOD, within_s=60)
                await eventually(lambda: peer.ready(DEAD), 60)
                watch.cancel_scope.cancel()
    assert 1 <= kills <= DELIVERY_LIMIT + 1
    assert sorted(call.message_id for call in shop.calls) == sorted(ids)
    assert shop.counted("dead") == shop.counted("retry") == 0
    async with immune_peer_at(broker_url) as peer:
        parked = await peer.get(DEAD)
        assert parked is not None
        assert parked.body == b"poison"
        assert await peer.get(DEAD) is None
        assert await peer.get(QUEUE) is None
