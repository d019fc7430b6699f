"""The outside parties as nodes: the product's own sandbox, depot and Maildir, on machines apart.

Their books are what the judges compare our log with, so they are never the log's own word.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

import anyio
import msgspec

from actors.domain.values import Address, Line, Money
from actors.notification.maildir import Maildir
from actors.notification.mailer import Mail
from actors.parties import OpenParties, Parties
from actors.payment.provider import Authorised, Captured, Declined, Outcome, Refunded, Voided
from actors.payment.sandbox import SandboxProvider, open_sandbox
from actors.payment.sandbox_books import Personality
from actors.services import ServiceName
from actors.settings import Settings
from actors.shipping.carrier import Parcel
from actors.shipping.depot import Depot, open_depot
from runtime.host import Host
from sim.engine import Engine
from sim.incarnation import CURRENT
from sim.node import Node
from sim.remote import Remote


class Witness(Protocol):
    """Is told of each call while it is under way (see `sim.bystander`)."""

    def __call__(
        self, party: str, what: str, key: str, **facts: object
    ) -> AbstractContextManager[object]:
        """``facts``: the arguments that matter to judges."""
        ...


class RemoteProvider:
    """A `PaymentProvider` on another node."""

    def __init__(self, remote: Remote, witness: Witness) -> None:
        self.remote = remote
        self.witness = witness
        self.here: SandboxProvider

    async def authorise(
        self, key: str, token: str, amount: Money, order_id: str
    ) -> Authorised | Declined:
        """Reserve."""
        with self.witness("provider", "authorise", key, token=token, amount=amount.amount):
            return await self.remote.call(
                "authorise", lambda: self.here.authorise(key, token, amount, order_id)
            )

    async def capture(self, key: str, authorisation_id: str, amount: Money) -> Captured | Declined:
        """Take."""
        with self.witness("provider", "capture", key, amount=amount.amount):
            return await self.remote.call(
                "capture", lambda: self.here.capture(key, authorisation_id, amount)
            )

    async def void(self, key: str, authorisation_id: str) -> Voided | Captured:
        """Give up."""
        with self.witness("provider", "void", key):
            return await self.remote.call("void", lambda: self.here.void(key, authorisation_id))

    async def refund(self, key: str, charge_id: str, amount: Money) -> Refunded:
        """Give back."""
        with self.witness("provider", "refund", key, amount=amount.amount):
            return await self.remote.call(
                "refund", lambda: self.here.refund(key, charge_id, amount)
            )

    async def lookup(self, key: str) -> Outcome | None:
        """Find."""
        with self.witness("provider", "lookup", key):
            return await self.remote.call("lookup", lambda: self.here.lookup(key))


class RemoteCarrier:
    """A `Carrier` on another node."""

    def __init__(self, remote: Remote, witness: Witness) -> None:
        self.remote = remote
        self.witness = witness
        self.here: Depot

    async def prepare(
        self, key: str, order_id: str, address: Address, items: tuple[Line, ...]
    ) -> Parcel:
        """Pack."""
        where = msgspec.to_builtins(address)
        with self.witness("carrier", "prepare", key, order_id=order_id, address=where):
            return await self.remote.call(
                "prepare", lambda: self.here.prepare(key, order_id, address, items)
            )

    async def lookup(self, key: str) -> Parcel | None:
        """Find."""
        return await self.remote.call("lookup", lambda: self.here.lookup(key))

    async def erase(self, order_id: str) -> None:
        """Forget."""
        await self.remote.call("erase", lambda: self.here.erase(order_id))


class RemoteMailer:
    """A `Mailer` on another node."""

    def __init__(self, remote: Remote, witness: Witness) -> None:
        self.remote = remote
        self.witness = witness
        self.here: Maildir

    async def send(self, key: str, mail: Mail, *, again: bool = True) -> None:
        """Send."""
        with self.witness("mailer", "send", key, order_id=key.partition(".")[0]):
            await self.remote.call("send", lambda: self.here.send(key, mail, again=again))

    async def erase(self, key: str) -> None:
        """Remove."""
        await self.remote.call("erase", lambda: self.here.erase(key))


class Outside:
    """The three parties of one world."""

    def __init__(self, engine: Engine, personality: Personality, witness: Witness) -> None:
        self._personality = personality
        self.provider = RemoteProvider(Remote(engine, "provider"), witness)
        self.carrier = RemoteCarrier(Remote(engine, "carrier"), witness)
        self.mailer = RemoteMailer(Remote(engine, "mailer"), witness)
        self.remotes = {
            remote.name: remote
            for remote in (self.provider.remote, self.carrier.remote, self.mailer.remote)
        }
        self.nodes = {
            "provider": Node(engine, "provider", self._serve_provider),
            "carrier": Node(engine, "carrier", self._serve_carrier),
            "mailer": Node(engine, "mailer", self._serve_mailer),
        }

    def opener(self) -> OpenParties:
        """Return what the product opens its parties with."""
        return self._open

    @asynccontextmanager
    async def _open(
        self, _settings: Settings, _host: Host, services: Sequence[ServiceName]
    ) -> AsyncIterator[Parties]:
        yield Parties(
            self.provider if "payment" in services else None,
            self.carrier if "shipping" in services else None,
            self.mailer if "notification" in services else None,
        )

    async def _serve_provider(self, _node: Node, host: Host) -> None:
        async with open_sandbox(host, self._personality) as sandbox:
            self.provider.here = sandbox
            await self._stay("provider")

    async def _serve_carrier(self, _node: Node, host: Host) -> None:
        async with open_depot(host) as depot:
            self.carrier.here = depot
            await self._stay("carrier")

    async def _serve_mailer(self, _node: Node, host: Host) -> None:
        self.mailer.here = Maildir(host.disk, host.clock)
        await self._stay("mailer")

    async def _stay(self, name: str) -> None:
        remote = self.remotes[name]
        owner = CURRENT.get()
        assert owner is not None
        owner.on_death.append(partial(self._gone, remote))
        remote.incarnation = owner
        await anyio.sleep_forever()

    @staticmethod
    def _gone(remote: Remote) -> None:
        remote.incarnation = None
