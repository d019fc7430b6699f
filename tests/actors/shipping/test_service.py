from pathlib import Path

import pytest

from actors.domain.events import ShippingPrepared
from actors.domain.order_events import OrderWith, Personal
from actors.shipping.service import order_of
from runtime.errors import Rejection, Unavailable, Unprocessable
from tests.actors.shipping.parties import Parties, parties_in
from tests.harness.crashes import Died, Tripwire
from tests.harness.orders import sample_address

PREPARATION = ["shipping-preparation-in-progress", "shipping-prepared"]
PAID = ["order-created", "payment-auth-in-progress", "payment-captured"]


async def prepared_body(parties: Parties, order_id: str) -> ShippingPrepared:
    (event,) = [
        event
        for event in await parties.shop.gateway.events(order_id)
        if isinstance(event.body, ShippingPrepared)
    ]
    assert isinstance(event.body, ShippingPrepared)
    return event.body


async def test_a_paid_order_becomes_one_parcel(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")
        await parties.runs.deliver(message, parties.service().prepare)
        assert await parties.shop.types(order_id) == PAID + PREPARATION
        (parcel,) = await parties.depot.ledger()
        order = await parties.shop.order(order_id)
        assert (parcel.order_id, parcel.parcel_id) == (order_id, order.parcel_id)
        assert parcel.address == sample_address()
        assert parcel.items == order.items
        body = await prepared_body(parties, order_id)
        assert body.address_version == order.happened[PREPARATION[0]].version
        (_, _, _, lock, prepared) = await parties.shop.gateway.events(order_id)
        assert {lock.correlation_id, prepared.correlation_id} == {message.message_id}


async def test_the_order_is_read_again_after_the_lock_and_before_the_carrier(
    tmp_path: Path,
) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")
        wire = Tripwire()
        await parties.runs.deliver(message, parties.service(wire).prepare, wire)
        assert wire.calls == ["append", "order_with", "prepare", "complete", "append"]
        lock = (await parties.shop.order(order_id)).happened[PREPARATION[0]]
        assert wire.keywords["order_with"] == {"at_version": lock.version}


async def test_dying_at_any_step_changes_nothing_in_the_end(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        died_at: list[str] = []
        for at in range(100):
            order_id = await parties.shop.place()
            await parties.shop.capture(order_id)
            message = await parties.shop.message(order_id, "payment-captured")
            wire = Tripwire(at)
            try:
                await parties.runs.deliver(message, parties.service(wire).prepare, wire)
            except Died as died:
                died_at.append(str(died))
                await parties.runs.deliver(message, parties.service().prepare)
            assert await parties.shop.types(order_id) == PAID + PREPARATION
            parcels = [p for p in await parties.depot.ledger() if p.order_id == order_id]
            assert [p.parcel_id for p in parcels] == [
                (await prepared_body(parties, order_id)).parcel_id
            ]
            if len(died_at) <= at:
                break
        assert len(died_at) == 10
        assert died_at[:2] == ["before append", "after append"]


async def test_a_step_that_was_completed_is_skipped(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")
        wire = Tripwire(at=7)
        with pytest.raises(Died, match="after complete"):
            await parties.runs.deliver(message, parties.service(wire).prepare, wire)
        again = Tripwire()
        await parties.runs.deliver(message, parties.service(again).prepare, again)
        assert again.calls == ["append"]


async def test_everything_holds_with_an_empty_inbox(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")
        for _ in range(3):
            assert await parties.runs.deliver(message, parties.service().prepare)
            await parties.runs.forget()
        assert await parties.shop.types(order_id) == PAID + PREPARATION
        assert len(await parties.depot.ledger()) == 1


async def test_the_parcel_goes_to_the_address_at_the_lock(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.move(order_id, sample_address("1 First Street"))
        await parties.shop.capture(order_id)
        await parties.shop.move(order_id, sample_address("2 Second Street"))
        message = await parties.shop.message(order_id, "payment-captured")
        wire = Tripwire(at=1)
        with pytest.raises(Died, match="after append"):
            await parties.runs.deliver(message, parties.service(wire).prepare, wire)
        with pytest.raises(Rejection, match="address can no longer"):
            await parties.shop.move(order_id, sample_address("3 Third Street"))
        await parties.runs.deliver(message, parties.service().prepare)
        (parcel,) = await parties.depot.ledger()
        assert parcel.address == sample_address("2 Second Street")


async def test_a_cancel_before_the_lock_wins(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        await parties.shop.cancel(order_id)
        message = await parties.shop.message(order_id, "payment-captured")
        with pytest.raises(Rejection, match="cancelled"):
            await parties.runs.deliver(message, parties.service().prepare)
        assert await parties.depot.ledger() == []
        assert not set(PREPARATION) & set(await parties.shop.types(order_id))


async def test_a_cancel_after_the_lock_loses(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")
        wire = Tripwire(at=1)
        with pytest.raises(Died):
            await parties.runs.deliver(message, parties.service(wire).prepare, wire)
        with pytest.raises(Rejection) as refusal:
            await parties.shop.cancel(order_id)
        assert refusal.value.code == "cancellation-locked"
        await parties.runs.deliver(message, parties.service().prepare)
        assert (await parties.shop.types(order_id))[-2:] == PREPARATION


async def test_a_message_that_is_ahead_of_the_log_is_tried_again(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        captured = await parties.shop.place()
        await parties.shop.capture(captured)
        message = await parties.shop.message(captured, "payment-captured")
        unpaid = await parties.shop.place()
        for stranger in (unpaid, "ord_unknown"):
            changed = message.body.replace(captured.encode(), stranger.encode())
            early = type(message)(
                message_id=f"evt_{stranger}",
                type=message.type,
                body=changed,
                correlation_id="req_1",
                app_id=message.app_id,
                timestamp=0,
            )
            with pytest.raises(Unavailable, match="no lock"):
                await parties.runs.deliver(early, parties.service().prepare)
        assert await parties.depot.ledger() == []


async def test_a_missing_address_is_for_a_person_to_look_at(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")

        class Erased:
            append = parties.shop.shipping.append

            async def order_with(self, order_id: str, _kind: str, at_version: int) -> OrderWith:
                order = await parties.shop.shipping.order(order_id, at_version=at_version)
                return OrderWith(order, Personal())

        service = parties.service()
        service._order_events = Erased()  # type: ignore[assignment]
        with pytest.raises(Unprocessable, match=r"version 4.*erased"):
            await parties.runs.deliver(message, service.prepare)
        assert await parties.depot.ledger() == []


async def test_a_carrier_that_is_down_is_asked_again(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")

        class Down:
            async def prepare(self, *_: object) -> None:
                raise Unavailable("the carrier does not answer")

        service = parties.service()
        service._carrier = Down()  # type: ignore[assignment]
        with pytest.raises(Unavailable):
            await parties.runs.deliver(message, service.prepare)
        await parties.runs.deliver(message, parties.service().prepare)
        assert (await parties.shop.types(order_id))[-2:] == PREPARATION


def test_a_body_that_is_none_has_no_lane() -> None:
    from runtime.message import Message

    message = Message(
        message_id="evt_1",
        type="payment-captured/v1",
        body=b"{}",
        correlation_id="",
        app_id="",
        timestamp=0,
    )
    with pytest.raises(Unprocessable):
        order_of(message)
