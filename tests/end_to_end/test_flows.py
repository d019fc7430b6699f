"""Every flow of the specification, over HTTP, on the embedded broker and on a real RabbitMQ."""

from pathlib import Path

import msgspec

from actors.domain.events import PaymentAuthFailed, PaymentCaptured, Shipped, ShippingPrepared
from actors.domain.values import Address
from actors.parties import Parties
from actors.payment.sandbox import SandboxProvider
from actors.payment.sandbox_books import LedgerEntry
from actors.shipping.depot import Depot
from actors.shipping.depot_books import ParcelEntry
from tests.harness.parties import Gate, WilfulProvider
from tests.harness.system import OTHER_ADDRESS, LiveSystem, live_system
from tests.harness.waiting import until

PAID = ["order-created", "payment-auth-in-progress", "payment-captured"]
PREPARED = [*PAID, "shipping-preparation-in-progress", "shipping-prepared"]


async def money(system: LiveSystem) -> list[LedgerEntry]:
    provider = system.parties.provider
    assert isinstance(provider, SandboxProvider)
    return await provider.ledger()


async def moved(system: LiveSystem) -> list[str]:
    return [entry.kind for entry in await money(system)]


async def parcels(system: LiveSystem) -> list[ParcelEntry]:
    carrier = system.parties.carrier
    assert isinstance(carrier, Depot)
    return await carrier.ledger()


async def mailed(system: LiveSystem, count: int) -> list[str]:
    """Return the subjects of the customers' mails once there are ``count``."""
    await until(lambda: len(system.mails()) >= count)
    return sorted(str(mail["Subject"]) for mail in system.mails())


async def test_an_order_is_paid_prepared_shipped_and_mailed_about(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url) as system:
        order = await system.place()
        await order.wait_for("shipping-prepared")
        assert (await order.ship()).status_code == 200
        assert await order.types() == [*PREPARED, "shipped"]
        shown = await order.show()
        assert (shown["status"], shown["payment"]["status"]) == ("shipped", "captured")
        subjects = await mailed(system, 2)
        (capture,) = [row for row in await money(system) if row.kind == "capture"]
        (parcel,) = await parcels(system)
    assert len(subjects) == 2
    assert capture.amount == shown["total"]["amount"]
    assert capture.order_id == parcel.order_id == order.id


async def test_a_declined_payment_is_told_and_nothing_is_prepared(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url) as system:
        order = await system.place("pm_card_declined")
        failed = await order.wait_for("payment-auth-failed")
        subjects = await mailed(system, 2)
        await system.quiet()
        types = await order.types()
        moves, packed = await moved(system), await parcels(system)
    assert isinstance(failed.body, PaymentAuthFailed)
    assert failed.body.reason == "card_declined"
    assert types == ["order-created", "payment-auth-in-progress", "payment-auth-failed"]
    assert len(subjects) == 2
    assert "capture" not in moves
    assert packed == []


async def test_payment_changed_inside_the_hold_is_what_is_charged_and_then_locked(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url, payment={"hold_s": 1.0}) as system:
        order = await system.place("pm_card_declined")
        assert (await order.pay_with("pm_card_visa")).status_code == 200
        captured = await order.wait_for("payment-captured")
        refused = await order.pay_with("pm_card_visa")
        authorised = [row.token for row in await money(system) if row.kind == "authorise"]
    assert authorised == ["pm_card_visa"]
    assert isinstance(captured.body, PaymentCaptured)
    assert captured.body.payment_version == 3
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/problems/payment-locked")
    assert refused.json()["blocking_event"]["type"] == "payment-auth-in-progress"


async def test_address_changed_inside_the_hold_is_where_the_parcel_goes_and_then_locked(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url, shipping={"hold_s": 1.0}) as system:
        order = await system.place()
        await order.wait_for("payment-captured")
        assert (await order.send_to(OTHER_ADDRESS)).status_code == 200
        prepared = await order.wait_for("shipping-prepared")
        refused = await order.send_to(OTHER_ADDRESS)
        (parcel,) = await parcels(system)
    assert parcel.address == msgspec.convert(OTHER_ADDRESS, Address)
    assert isinstance(prepared.body, ShippingPrepared)
    assert prepared.body.address_version == 5
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/problems/shipping-locked")


async def test_cancelled_before_payment_the_provider_is_never_called(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url, payment={"hold_s": 1.5}) as system:
        order = await system.place()
        assert (await order.cancel()).status_code == 200
        # Created is still held when cancelled is handled: the messages arrive in the wrong order.
        payment = system.running.system.payment.messages
        await until(lambda: payment.statistics().hold.next_due_s is not None)
        subjects = await mailed(system, 2)
        assert payment.statistics().hold.next_due_s is not None
        await system.quiet()
        assert await order.types() == ["order-created", "order-cancelled"]
        moves = await moved(system)
        again = await order.cancel()
        status = (await order.show())["status"]
    assert len(subjects) == 2
    assert moves == []
    assert again.status_code == 409
    assert again.json()["type"].endswith("/problems/order-already-cancelled")
    assert status == "cancelled"


async def test_cancelled_during_authorisation_nothing_is_captured(
    tmp_path: Path, broker_url: str
) -> None:
    gate, inside = Gate(), []

    def gated(parties: Parties) -> Parties:
        provider = WilfulProvider(parties.provider)
        provider.gates["authorise"] = gate
        inside.append(provider)
        return msgspec.structs.replace(parties, provider=provider)

    async with live_system(tmp_path, broker_url, wrap=gated) as system:
        order = await system.place()
        await gate.reached.wait()
        assert (await order.cancel()).status_code == 200
        gate.open()
        failed = await order.wait_for("payment-auth-failed")
        subjects = await mailed(system, 2)
        await system.quiet()
        moves = await moved(system)
    assert isinstance(failed.body, PaymentAuthFailed)
    assert failed.body.reason == "order-cancelled"
    assert "capture" not in moves
    assert moves.count("void") == 1
    assert not any("failed" in subject.lower() for subject in subjects)


async def test_cancelled_after_the_capture_is_refunded_however_often_the_provider_is_down(
    tmp_path: Path, broker_url: str
) -> None:
    providers: list[WilfulProvider] = []

    def down(parties: Parties) -> Parties:
        provider = WilfulProvider(parties.provider)
        provider.unreachable["refund"] = 2
        providers.append(provider)
        return msgspec.structs.replace(parties, provider=provider)

    async with live_system(
        tmp_path, broker_url, wrap=down, shipping={"hold_s": 2.0}, payment={"sweep_s": 60.0}
    ) as system:
        order = await system.place()
        await order.wait_for("payment-captured")
        assert (await order.cancel()).status_code == 200
        await order.wait_for("payment-refunded")
        await system.quiet()
        types, moves = await order.types(), await moved(system)
        shown, packed = await order.show(), await parcels(system)
    assert providers[0].unreachable["refund"] == 0
    assert types == [*PAID, "order-cancelled", "payment-refund-in-progress", "payment-refunded"]
    assert (moves.count("capture"), moves.count("refund")) == (1, 1)
    assert (shown["status"], shown["payment"]["status"]) == ("cancelled", "refunded")
    assert packed == []


async def test_after_preparation_began_a_cancellation_is_refused(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url) as system:
        order = await system.place()
        await order.wait_for("shipping-preparation-in-progress")
        refused = await order.cancel()
        await order.wait_for("shipping-prepared")
        moves = await moved(system)
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/problems/cancellation-locked")
    assert "refund" not in moves


async def test_shipped_twice_is_one_shipment_and_another_carrier_is_refused(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url, payment={"hold_s": 0.5}) as system:
        order = await system.place()
        early = await order.ship()
        await order.wait_for("shipping-prepared")
        first, second = await order.ship(), await order.ship()
        other = await order.ship(tracking="JD9999")
        shipped = await order.wait_for("shipped")
        subjects = await mailed(system, 2)
        await system.quiet()
        types = await order.types()
    assert (early.status_code, first.status_code, second.status_code) == (409, 200, 200)
    assert early.json()["type"].endswith("/problems/not-prepared")
    assert other.status_code == 409
    assert other.json()["type"].endswith("/problems/already-shipped")
    assert types.count("shipped") == 1
    assert isinstance(shipped.body, Shipped)
    assert shipped.type.app_id == "shipping-service"
    assert len(subjects) == 2
