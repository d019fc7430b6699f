"""The notification service: what happened to an order becomes a mail to its customer, once.

    known     the mail was sent or skipped before: nothing to do, with or without an inbox
    intent    if not, the row *sending* is committed with the claim of the message
    read      the order as it was at the event's version; the customer's address
    send      the mailer is asked, with the mail's key
    done      the row *sent* is committed with the message; *skipped* if the mailer refused it for
              good

What is mailed follows from the log alone: messages may come in any order, late and twice. Dying
before the mailer's point of no return sends nothing; dying after it, the next attempt sends the
same key, which the mailer knows.
"""

import msgspec

from actors.domain.events import decode_message
from actors.domain.order import Order
from actors.domain.order_events import OrderEvents, OrderWith
from actors.domain.values import Customer
from actors.notification import mails
from actors.notification.letters import TEMPLATES, Letters, skip_reason
from actors.notification.mailer import Mailer
from actors.notification.mails import ERASED, MailId, State
from runtime.database import Database
from runtime.errors import Rejection, Unavailable, Unprocessable
from runtime.host import Clock
from runtime.inbox import Claim
from runtime.jobs import Route
from runtime.message import Message, MessageType
from runtime.transaction import Transaction


def order_of(message: Message) -> str:
    """Return the order that a message is about: its lane. `Unprocessable` if it is malformed."""
    return decode_message(message.body).order_id


class Begun(msgspec.Struct, frozen=True):
    """What was known of a mail ``before`` it was begun; whether its order was ``erased``."""

    before: State | None
    erased: bool


def mail_of(message: Message) -> MailId:
    """Return the mail that a message leads to."""
    template = TEMPLATES[MessageType.parse(message.type).name]
    return MailId(order_of(message), message.message_id, template)


def begin(tx: Transaction, message: Message, now_ms: int) -> Begun:
    """Note that the mail is being sent, unless it was sent or skipped before."""
    mail = mail_of(message)
    connection = tx.reading("mails")
    before = mails.state_of(connection, mail.key)
    if before in ("sent", "skipped"):
        return Begun(before, erased=False)
    mails.note(tx, mail, "sending", now_ms)
    return Begun(before, mails.erased(connection, mail.order_id))


class NotificationService:
    """Handles the messages of the queue ``notification``.

    What was done is known by the mail's own row: the claim's steps are not needed.
    """

    def __init__(
        self,
        order_events: OrderEvents,
        mailer: Mailer,
        letters: Letters,
        database: Database,
        clock: Clock,
    ) -> None:
        self._order_events = order_events
        self._mailer = mailer
        self._letters = letters
        self._database = database
        self._clock = clock
        # Since this process began; those before it are in the database, where `begin` looks.
        self._erased: set[str] = set()

    def route(self) -> Route:
        """Return what is done with each event that is mailed."""
        return Route(self.notify, begin=begin)

    async def notify(self, message: Message, claim: Claim) -> None:
        """Mail the customer about the event, unless that is done or there is a reason not to."""
        begun = claim.begun
        assert isinstance(begun, Begun), "its route has a `begin`"
        if begun.before in ("sent", "skipped"):
            return
        mail, event_type = mail_of(message), MessageType.parse(message.type).name
        try:
            found = await self._order_then(message, event_type)
        except Unprocessable as refusal:
            await self._note(mail, "skipped", refusal.reason)
            raise
        order, customer = found.order, found.personal.customer
        reason = skip_reason(order, event_type)
        if reason is not None:
            self._at_end(claim, mail, "skipped", reason)
            return
        if customer is None or begun.erased:
            await self._mailer.erase(mail.key)  # an earlier attempt may have sent it
            self._at_end(claim, mail, "skipped", ERASED)
            return
        await self._send(mail, order, customer, again=begun.before is not None)
        self._at_end(claim, mail, "sent")
        if mail.order_id in self._erased:
            await self._mailer.erase(mail.key)  # the order was erased while we were sending

    async def erase(self, order_id: str) -> None:
        """Remove the order's mails, and never send another; safe to repeat after a kill.

        Whoever is sending one meanwhile has begun it before and finds the order here after it, or
        has sent it before we remove it.
        """
        now_ms = self._now_ms()
        keys = await self._database.write(lambda tx: mails.note_erased(tx, order_id, now_ms))
        self._erased.add(order_id)
        for key in keys:
            await self._mailer.erase(key)

    async def _send(self, mail: MailId, order: Order, customer: Customer, *, again: bool) -> None:
        """Send the mail; one that never can be sent is not tried again, also by no replay."""
        try:
            letter = self._letters.letter(mail.template, order, customer.name, customer.email)
            await self._mailer.send(mail.key, letter, again=again)
        except Unprocessable as refusal:
            await self._note(mail, "skipped", refusal.reason)
            raise

    async def _order_then(self, message: Message, event_type: str) -> OrderWith:
        """Return order and customer as of the message's event, which is in the log as it says."""
        event = decode_message(message.body)
        try:
            found = await self._order_events.order_with(
                event.order_id, "customer", at_version=event.version
            )
        except Rejection as refusal:
            raise Unavailable(f"{event.order_id}: not readable: {refusal.code}") from refusal
        order = found.order
        if order.version < event.version:
            raise Unavailable(f"{event.order_id} is not at version {event.version} yet")
        happening = order.happened.get(event_type)
        if happening is None or happening.event_id != message.message_id:
            raise Unprocessable("not-in-the-log", f"{message.message_id} is not what was logged")
        return found

    def _at_end(self, claim: Claim, mail: MailId, state: State, reason: str = "") -> None:
        now_ms = self._now_ms()
        claim.at_end(lambda tx: mails.note(tx, mail, state, now_ms, reason))

    async def _note(self, mail: MailId, state: State, reason: str) -> None:
        now_ms = self._now_ms()
        await self._database.write(lambda tx: mails.note(tx, mail, state, now_ms, reason))

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)
