"""The outside parties: who takes the money, who carries the parcel, who delivers the mail.

Each is a port with a real built-in party behind it, whose books are its own: they survive our
crashes and can be compared with what our log says. To connect another provider, carrier or mailer,
write another function like `built_in_parties`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from actors.notification.maildir import Maildir
from actors.notification.mailer import Mailer
from actors.payment.provider import PaymentProvider
from actors.payment.sandbox import open_sandbox
from actors.settings import Settings
from actors.shipping.carrier import Carrier
from actors.shipping.depot import open_depot
from runtime.host import Host


class Parties(msgspec.Struct, frozen=True):
    """Everybody outside that an order involves."""

    provider: PaymentProvider
    carrier: Carrier
    mailer: Mailer


OpenParties = Callable[[Settings, Host], AbstractAsyncContextManager[Parties]]


@asynccontextmanager
async def built_in_parties(settings: Settings, host: Host) -> AsyncIterator[Parties]:
    """Open the sandbox provider, the depot and the maildir in the host's data folder."""
    async with (
        open_sandbox(host, settings.payment.personality) as provider,
        open_depot(host) as carrier,
    ):
        yield Parties(provider, carrier, Maildir(host.disk, host.clock))
