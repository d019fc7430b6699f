"""The outside parties: who takes the money, who carries the parcel, who delivers the mail.

Each is a port with a real built-in party behind it, whose books are its own: they survive our
crashes and can be compared with what our log says. To connect another provider, carrier or mailer,
write another function like `built_in_parties`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import msgspec

from actors.notification.mailer import Mailer
from actors.notification.transport import mailer_for
from actors.payment.provider import PaymentProvider
from actors.payment.sandbox import open_sandbox
from actors.services import SERVICES, ServiceName
from actors.settings import Settings
from actors.shipping.carrier import Carrier
from actors.shipping.depot import open_depot
from runtime.host import Host


class Parties(msgspec.Struct, frozen=True):
    """Everybody outside that an order involves.

    None is whom only services of other processes deal with.
    """

    provider: PaymentProvider | None
    carrier: Carrier | None
    mailer: Mailer | None


OpenParties = Callable[
    [Settings, Host, Sequence[ServiceName]], AbstractAsyncContextManager[Parties]
]


@asynccontextmanager
async def built_in_parties(
    settings: Settings, host: Host, services: Sequence[ServiceName] = SERVICES
) -> AsyncIterator[Parties]:
    """Open the sandbox provider, the depot and the configured mailer.

    Only those that one of ``services`` deals with: their books belong to one process. Raises
    `ConfigurationError` where the mailer cannot be had.
    """
    mail = settings.mail
    provider = open_sandbox(host, settings.payment.personality)
    depot = open_depot(host)
    async with AsyncExitStack() as stack:
        yield Parties(
            await stack.enter_async_context(provider) if "payment" in services else None,
            await stack.enter_async_context(depot) if "shipping" in services else None,
            mailer_for(mail.transport, mail.sender, host, mail.connections_max)
            if "notification" in services
            else None,
        )
