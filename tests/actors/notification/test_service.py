from pathlib import Path

import msgspec
import pytest

from actors.domain.events import PaymentAuthFailed
from actors.domain.order_events import CancelOrder, OrderWith, Personal
from actors.notification.letters import TEMPLATES
from actors.notification.mailer import Mail
from runtime.errors import Unavailable, Unprocessable
from tests.actors.notification.parties import Parties, parties_in
from tests.harness.crashes import Died, Tripwire
from tests.harness.orders import sample_placing


async def order_with(parties: Parties, event_type: str) -> str:
    """An order on its way up to this event."""
    order_id = await parties.shop.place(sample_placing())
    match event_type:
        case "payment-auth-failed":
            await parties.shop.decline(order_id)
        case "order-cancelled":
            await parties.shop.cancel(order_id)
        case "shipped":
            await parties.shop.ship(order_id)
    return order_id


@pytest.mark.parametrize("event_type", list(TEMPLATES))
async def test_each_event_mails_its_customer_once(tmp_path: Path, event_type: str) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await order_with(parties, event_type)
        await parties.notify(order_id, event_type)
        (mail,) = await parties.inbox()
        assert mail["To"] == "ada@example.org"
        assert mail["X-Ordermill-Template"] == TEMPLATES[event_type]
        assert mail["X-Ordermill-Order"] == order_id
        (entry,) = await parties.entries(order_id)
        assert (entry.state, entry.template) == ("sent", TEMPLATES[event_type])


@pytest.mark.parametrize("event_type", list(TEMPLATES))
async def test_dying_at_any_step_leaves_one_mail_in_the_end(
    tmp_path: Path, event_type: str
) -> None:
    async with parties_in(tmp_path) as parties:
        died = 0
        for at in range(100):
            order_id = await order_with(parties, event_type)
            message = await parties.shop.message(order_id, event_type)
            wire = Tripwire(at)
            try:
                await parties.runs.deliver(message, parties.service(wire).route(), wire)
            except Died:
                died += 1
                await parties.runs.deliver(message, parties.service().route())
            assert len(await parties.inbox()) == at + 1
            assert [entry.state for entry in await parties.entries(order_id)] == ["sent"]
            if died <= at:
                break
        assert wire.calls == ["order_with", "send"]
        assert died == 2 * len(wire.calls)


async def test_nothing_mails_again_even_without_an_inbox(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.notify(order_id, "order-created")
        for mail in await parties.shop.host.disk.names("mail/new"):
            await parties.shop.host.disk.remove(mail)  # the customer has deleted it
        await parties.runs.forget()
        await parties.notify(order_id, "order-created")
        assert await parties.inbox() == []


async def test_without_our_records_the_mailer_still_knows(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.notify(order_id, "order-created")
        (before,) = await parties.inbox()
        await parties.runs.forget()
        await parties.runs.database.write(lambda tx: tx.connection.execute("DELETE FROM mails"))
        await parties.notify(order_id, "order-created")
        (after,) = await parties.inbox()
        assert after.as_bytes() == before.as_bytes()


async def test_a_cancel_that_arrives_before_created_leads_to_both_mails(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await order_with(parties, "order-cancelled")
        await parties.notify(order_id, "order-cancelled")
        await parties.notify(order_id, "order-created")
        assert await parties.templates() == ["order-cancelled", "order-received"]


async def test_a_decline_after_the_cancel_mails_nothing_about_the_payment(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.begin_payment(order_id)
        await parties.shop.cancel(order_id)
        await parties.shop.decline(order_id, "card_declined")
        await parties.notify(order_id, "payment-auth-failed")
        assert await parties.inbox() == []
        (entry,) = await parties.entries(order_id)
        assert (entry.state, entry.reason) == ("skipped", "order-cancelled")
        await parties.runs.forget()
        await parties.notify(order_id, "payment-auth-failed")
        assert await parties.inbox() == []


async def test_a_cancel_after_the_decline_mails_both_whatever_comes_first(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.decline(order_id)
        await parties.shop.command(CancelOrder(order_id, "customer"))
        await parties.notify(order_id, "order-cancelled")
        await parties.notify(order_id, "payment-auth-failed")
        assert await parties.templates() == ["order-cancelled", "payment-failed"]


async def test_a_failure_because_of_the_cancel_is_no_news(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        await parties.shop.begin_payment(order_id)
        await parties.shop.cancel(order_id)
        event = await parties.shop.decline(order_id, "order-cancelled")
        assert event.body == PaymentAuthFailed(1, "order-cancelled")
        await parties.notify(order_id, "payment-auth-failed")
        assert await parties.inbox() == []


async def test_an_event_that_is_not_in_the_log_yet_is_tried_again(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        message = await parties.shop.message(order_id, "order-created")
        elsewhere = message.body.replace(order_id.encode(), b"ord_unknown")
        later = message.body.replace(b'"version":1', b'"version":7')
        assert later != message.body
        for number, body in enumerate((elsewhere, later)):
            early = msgspec.structs.replace(message, body=body, message_id=f"evt_early_{number}")
            with pytest.raises(Unavailable):
                await parties.runs.deliver(early, parties.service().route())
        assert await parties.inbox() == []


async def test_a_message_that_says_something_else_than_the_log_is_parked(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        message = await parties.shop.message(order_id, "order-created")
        for changes in ({"message_id": "evt_forged"}, {"type": "shipped/v1", "message_id": "x"}):
            forged = msgspec.structs.replace(message, **changes)
            with pytest.raises(Unprocessable) as parked:
                await parties.runs.deliver(forged, parties.service().route())
            assert parked.value.reason == "not-in-the-log"
        entries = await parties.entries(order_id)
        assert [(entry.state, entry.reason) for entry in entries] == [
            ("skipped", "not-in-the-log")
        ] * 2
        assert await parties.inbox() == []


class Failing:
    """A mailer that fails as told, then works."""

    def __init__(self, inner: object, failure: Exception) -> None:
        self._inner = inner
        self._failure: Exception | None = failure
        self.again: list[bool] = []

    async def send(self, key: str, mail: Mail, *, again: bool = True) -> None:
        self.again.append(again)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        await self._inner.send(key, mail, again=again)  # type: ignore[attr-defined]

    async def erase(self, key: str) -> None:
        await self._inner.erase(key)  # type: ignore[attr-defined]


async def test_a_mailer_that_is_away_is_asked_again(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        message = await parties.shop.message(order_id, "order-created")
        mailer = Failing(parties.maildir, Unavailable("full"))
        service = parties.service(mailer=mailer)
        with pytest.raises(Unavailable):
            await parties.runs.deliver(message, service.route())
        assert [entry.state for entry in await parties.entries(order_id)] == ["sending"]
        await parties.runs.deliver(message, service.route())
        assert [entry.state for entry in await parties.entries(order_id)] == ["sent"]
        assert mailer.again == [False, True]
        assert len(await parties.inbox()) == 1


async def test_a_mail_refused_for_good_is_a_recorded_skip(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        message = await parties.shop.message(order_id, "order-created")
        refusal = Unprocessable("mail-refused", "no such mailbox")
        service = parties.service(mailer=Failing(parties.maildir, refusal))
        with pytest.raises(Unprocessable):
            await parties.runs.deliver(message, service.route())
        (entry,) = await parties.entries(order_id)
        assert (entry.state, entry.reason) == ("skipped", "mail-refused")
        await parties.runs.deliver(message, service.route())
        assert await parties.inbox() == []


async def test_an_erased_customer_is_a_recorded_skip(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        message = await parties.shop.message(order_id, "order-created")

        class Erased:
            async def order_with(self, order_id: str, _kind: str, at_version: int) -> OrderWith:
                order = await parties.shop.notification.order(order_id, at_version=at_version)
                return OrderWith(order, Personal())

        service = parties.service()
        service._order_events = Erased()  # type: ignore[assignment]
        await parties.runs.deliver(message, service.route())
        assert await parties.inbox() == []
        (entry,) = await parties.entries(order_id)
        assert (entry.state, entry.reason) == ("skipped", "erased")


async def test_erasing_an_order_removes_its_mails_and_sends_no_more(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        erased, kept = await parties.shop.place(), await parties.shop.place()
        for order_id in (erased, kept):
            await parties.notify(order_id, "order-created")
            await parties.shop.cancel(order_id)
        await parties.service().erase(erased)
        await parties.service().erase(erased)
        for order_id in (erased, kept):
            await parties.notify(order_id, "order-cancelled")
        orders = {str(mail["X-Ordermill-Order"]) for mail in await parties.inbox()}
        assert orders == {kept}
        assert [(e.state, e.reason) for e in await parties.entries(erased)] == [
            ("sent", ""),
            ("skipped", "erased"),
        ]


async def test_an_order_erased_while_its_mail_goes_out_keeps_none(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        order_id = await parties.shop.place()
        message = await parties.shop.message(order_id, "order-created")

        class Meanwhile:
            erase = parties.maildir.erase

            async def send(self, key: str, mail: Mail, *, again: bool = True) -> None:
                await service.erase(order_id)
                await parties.maildir.send(key, mail)

        service = parties.service(mailer=Meanwhile())
        await parties.runs.deliver(message, service.route())
        assert await parties.inbox() == []
