"""The pipeline against a real broker and a real database: how messages end."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from runtime.errors import Rejection, Unavailable, Unprocessable
from runtime.inbox import Claim
from runtime.message import Message
from runtime.outcomes import RetryPolicy
from runtime.trials import Known
from tests.harness.message_service import QUEUE, Call, Shop, dead, left_over, order, send
from tests.harness.peer import peer_at
from tests.harness.waiting import until


def fails_first(*errors: Exception) -> Callable[[Message, Claim], None]:
    """A handler that raises these, one a call, and then succeeds."""
    left = list(errors)

    def handle(message: Message, claim: Claim) -> None:
        if left:
            raise left.pop(0)

    return handle


async def test_a_message_is_handled_recorded_and_acknowledged(shop: Shop) -> None:
    async with shop.open():
        await send(shop, order(1), order(2, "order-2"))
        await until(lambda: shop.counted("ok") == 2)
        assert await shop.states("evt_1", "evt_2") == {"evt_1": "done", "evt_2": "done"}
    assert shop.calls[0] == Call("evt_1", 0, False, ())
    assert await left_over(shop.url) == []


async def test_a_copy_of_a_finished_message_is_discarded_whatever_it_says(shop: Shop) -> None:
    async with shop.open():
        await send(shop, order(1))
        await until(lambda: shop.counted("ok") == 1)
        await send(shop, order(1), order(1).as_retry(2))
        await until(lambda: shop.counted("duplicate") == 2)
        assert await shop.service.trials.known(["evt_1"]) == {"evt_1": Known("done", 1, 2)}
    assert len(shop.calls) == 1
    assert await left_over(shop.url) == []


async def test_a_requeued_message_is_tried_again_later_with_its_identity(shop: Shop) -> None:
    shop.handle = fails_first(Unavailable("provider is down"))
    async with shop.open(), peer_at(shop.url):
        await send(shop, order(1))
        await until(lambda: shop.counted("ok") == 1)
        assert shop.counted("retry") == 1
    assert shop.calls == [Call("evt_1", 0, False, ()), Call("evt_1", 1, True, ())]
    assert await left_over(shop.url) == []


async def test_a_true_duplicate_is_discarded_while_the_requeued_copy_waits(shop: Shop) -> None:
    shop.handle = fails_first(Unavailable("provider is down"))
    async with shop.open():
        await send(shop, order(1))
        await until(lambda: shop.counted("retry") == 1)
        await send(shop, order(1))
        await until(lambda: shop.counted("duplicate") == 1)
        assert len(shop.calls) == 1
        await until(lambda: shop.counted("ok") == 1)
    assert shop.calls[1].attempt == 1


async def test_after_the_last_attempt_a_message_is_parked_with_its_story(shop: Shop) -> None:
    shop.retry = RetryPolicy(tiers_s=(1,), attempts_max=2)
    shop.handle = fails_first(ZeroDivisionError("secret text"), Unavailable("down"))
    async with shop.open(), peer_at(shop.url) as peer:
        await send(shop, order(1))
        parked = await dead(peer)
        await until(lambda: shop.counted("dead") == 1)
        assert await shop.states("evt_1") == {"evt_1": "parked"}
        headers = parked.header.properties.headers
        assert headers is not None
        assert headers["x-attempt"] == 2
        assert headers["x-reason"] == "exhausted"
        assert headers["x-error"] == "Unavailable"
        assert headers["x-origin-queue"] == QUEUE
        assert headers["x-order-correlation"] == "cor_1"
        assert parked.header.properties.message_id == "evt_1"
        assert "secret" not in str(headers)
        await send(shop, order(1))
        await until(lambda: shop.counted("duplicate") == 1)
    assert len(shop.calls) == 2


async def test_an_obligation_is_never_parked(shop: Shop) -> None:
    shop.retry = RetryPolicy(tiers_s=(1,), attempts_max=1)
    owed = [Unavailable("owed", gives_up=False) for _ in range(2)]
    shop.handle = fails_first(*owed)
    async with shop.open():
        await send(shop, order(1))
        await until(lambda: shop.counted("ok") == 1)
    assert [call.attempt for call in shop.calls] == [0, 1, 2]


async def test_a_refused_command_is_done_and_counted_as_discarded(shop: Shop) -> None:
    shop.handle = fails_first(Rejection("order-cancelled", "nothing to capture"))
    async with shop.open():
        await send(shop, order(1))
        await until(lambda: shop.counted("discarded") == 1)
        assert await shop.states("evt_1") == {"evt_1": "done"}
    assert await left_over(shop.url) == []


@pytest.mark.parametrize(
    ("kind", "reason", "label"),
    [
        ("order-created/v2", "unknown-version", "order-created"),
        ("order-invented/v1", "unknown-type", "other"),
        ("nonsense", "malformed", "other"),
    ],
)
async def test_what_has_no_handler_is_parked_with_the_reason(
    shop: Shop, kind: str, reason: str, label: str
) -> None:
    async with shop.open(), peer_at(shop.url) as peer:
        await send(shop, order(1, type=kind))
        parked = await dead(peer)
        assert parked.header.properties.headers is not None
        assert parked.header.properties.headers["x-reason"] == reason
        await until(lambda: shop.counted("dead", label) == 1)
    assert shop.calls == []
    assert await left_over(shop.url) == []


async def test_a_message_without_properties_is_parked_and_good_ones_go_on(shop: Shop) -> None:
    async with shop.open(), peer_at(shop.url) as peer:
        await peer.put(QUEUE, b"who am I?")
        await peer.put_raw(QUEUE, b"\x00\x80\x02\xff\xfe", b"not UTF-8")
        await send(shop, order(1))
        await until(lambda: shop.counted("ok") == 1)
        parked = [await dead(peer), await dead(peer)]
        assert {message.body for message in parked} == {b"who am I?", b"not UTF-8"}
        assert len({message.header.properties.message_id for message in parked}) == 2
    assert await left_over(shop.url) == []


async def test_a_handler_that_says_unprocessable_is_believed_at_once(shop: Shop) -> None:
    shop.handle = fails_first(Unprocessable("amount-differs", "same key, other amount"))
    async with shop.open(), peer_at(shop.url) as peer:
        await send(shop, order(1))
        parked = await dead(peer)
        assert parked.header.properties.headers is not None
        assert parked.header.properties.headers["x-reason"] == "amount-differs"


async def test_messages_of_one_key_keep_their_order_and_others_overtake(shop: Shop) -> None:
    gate = anyio.Event()

    async def handle(message: Message, claim: Claim) -> None:
        if message.message_id == "evt_1":
            await gate.wait()

    shop.handle = handle
    async with shop.open():
        await send(shop, order(1, "a"), order(2, "a"), order(3, "b"), order(4, "a"))
        await until(lambda: shop.counted("ok") == 1)
        assert [call.message_id for call in shop.calls] == ["evt_1", "evt_3"]
        told: list[str] = []

        async def work() -> None:
            told.append("told")

        shop.service.tell("a", work)
        gate.set()
        await until(lambda: shop.counted("ok") == 4)
        await until(lambda: told == ["told"])
    assert [call.message_id for call in shop.calls] == ["evt_1", "evt_3", "evt_2", "evt_4"]


async def test_a_delivery_that_waits_for_room_gets_it_when_told_work_ends(shop: Shop) -> None:
    shop.prefetch = shop.lanes = 1
    gate = anyio.Event()
    async with shop.open():
        for key in ("a", "a", "b", "b"):
            shop.service.tell(key, gate.wait)
        await send(shop, order(1))
        await until(lambda: shop.service.statistics().consumer.waiting == 1)
        gate.set()
        await until(lambda: shop.counted("ok") == 1)


async def test_work_that_fails_harms_nobody(shop: Shop) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    async with shop.open():
        shop.service.tell("order-1", work)
        await send(shop, order(1))
        await until(lambda: shop.counted("ok") == 1)


async def test_a_held_message_is_acknowledged_at_once_and_handled_when_due(shop: Shop) -> None:
    shop.hold_s = 1.0
    async with shop.open(), peer_at(shop.url) as peer:
        await send(shop, order(1))
        await until(lambda: shop.service.statistics().consumer.deliveries == 1)
        await until(lambda: shop.service.statistics().consumer.unsettled == 0)
        assert await shop.states("evt_1") == {"evt_1": "held"}
        assert shop.calls == []
        assert await peer.ready(QUEUE) == 0
        await send(shop, order(1))
        await until(lambda: shop.counted("duplicate") == 1)
        await until(lambda: shop.counted("ok") == 1)
        assert await shop.states("evt_1") == {"evt_1": "done"}
    assert len(shop.calls) == 1


async def test_a_held_message_survives_a_restart_and_can_be_requeued(shop: Shop) -> None:
    shop.hold_s = 1.0
    shop.handle = fails_first(Unavailable("provider is down"))
    async with shop.open():
        await send(shop, order(1))
        await until(lambda: shop.service.statistics().consumer.deliveries == 1)
        await until(lambda: shop.service.statistics().consumer.unsettled == 0)
    assert shop.calls == []
    assert await left_over(shop.url) == []
    async with shop.open():
        await until(lambda: shop.counted("ok") == 1)
    assert [(call.attempt, call.requeued) for call in shop.calls] == [(0, False), (1, True)]
