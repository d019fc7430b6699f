"""What customers ask about their mails: which there were, and for the link to their order.

A link is written by an actor of its own, so that asking for one takes as long for an order that
there is as for one that there is not. What waits for it is in memory: a customer who gets no mail
asks again.
"""

from functools import partial

import msgspec

from actors.domain.correspondence import MailSent, MailShown
from actors.domain.order_events import OrderEvents
from actors.notification import mails
from actors.notification.letters import LINK, Letters
from actors.notification.maildir import Maildir
from actors.notification.mailer import Mailer
from actors.notification.mails import MailId
from runtime.actor import Actor, ActorRef, actor_child
from runtime.child import ChildSpec
from runtime.database import Database
from runtime.host import Clock
from runtime.transaction import Transaction

WAITING_MAX = 64
ONE_A_S = 600


class Wanted(msgspec.Struct, frozen=True):
    """A link to be mailed; without an order there is nobody to mail it to."""

    order_id: str | None
    url: str


class LinkWriter(Actor[Wanted]):
    """Mails links: one for each order and span of `ONE_A_S` seconds, however often it is asked."""

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

    async def receive(self, message: Wanted) -> None:
        """Write the mail, as every mail is written: noted, sent under its key, noted."""
        if message.order_id is None:
            return
        now_s = self._clock.wall()
        mail = MailId(message.order_id, f"link-{int(now_s // ONE_A_S)}", LINK)
        state = await self._database.read(partial(mails.state_of, key=mail.key))
        if state in ("sent", "skipped"):
            return
        found = await self._order_events.order_with(mail.order_id, "customer")
        customer = found.personal.customer
        if customer is None or await self._note(mail, "sending", now_s):
            return
        name, email = customer.name, customer.email
        letter = self._letters.letter(LINK, found.order, name, email, url=message.url)
        await self._mailer.send(mail.key, letter, again=state is not None)
        if await self._note(mail, "sent", now_s):
            await self._mailer.erase(mail.key)  # the order was erased while we were sending

    async def _note(self, mail: MailId, state: mails.State, now_s: float) -> bool:
        """Note it; return whether the order was erased meanwhile."""

        def work(tx: Transaction) -> bool:
            mails.note(tx, mail, state, int(now_s * 1000))
            return mails.erased(tx.connection, mail.order_id)

        return await self._database.write(work)


class LocalCorrespondence:
    """`Correspondence` in the notification service's own process."""

    def __init__(
        self,
        order_events: OrderEvents,
        mailer: Mailer,
        letters: Letters,
        database: Database,
        clock: Clock,
    ) -> None:
        self._mailer = mailer
        self._database = database
        self._writer = partial(LinkWriter, order_events, mailer, letters, database, clock)
        self._ref: ActorRef[Wanted] = ActorRef("links", WAITING_MAX)

    def child(self) -> ChildSpec:
        """Return the child that writes links."""
        return actor_child("links", self._writer, self._ref)

    async def about(self, order_id: str) -> list[MailSent]:
        """Read the mails' own rows; see `Correspondence.about`."""
        rows = await self._database.read(partial(mails.of_order, order_id=order_id))
        return [MailSent(row.template, row.state, row.at_ms) for row in rows]

    async def send_link(self, order_id: str | None, url: str) -> None:
        """Leave it to the writer; see `Correspondence.send_link`."""
        self._ref.tell(Wanted(order_id, url))

    async def mailbox(self, limit: int) -> list[MailShown] | None:
        """Read the Maildir, if that is where mails go; see `Correspondence.mailbox`."""
        return await self._mailer.latest(limit) if isinstance(self._mailer, Maildir) else None
