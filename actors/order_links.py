"""Where a mail sends its reader: to the order itself, where this process can make its link."""

from collections.abc import Callable
from functools import cached_property

from actors.apps import address_of
from actors.domain.order import Order
from actors.gateway.auth import Authority
from actors.gateway.pages.access import FIND_PATH, link_path
from actors.messaging import World


class OrderLinks:
    """Makes the links; ``port`` returns the gateway's, None where it runs in another process."""

    def __init__(self, world: World, port: Callable[[], int | None]) -> None:
        self._world = world
        self._port = port

    def url(self, order: Order) -> str | None:
        """Return the link to an order, or None where nobody knows the shop's address.

        A notification service that runs without the gateway has no secret for links: its mails lead
        to the page that asks for one.
        """
        http, port = self._world.settings.http, self._port()
        if port is None:
            return f"{http.public_url}{FIND_PATH}" if http.public_url else None
        return (
            f"{address_of(http, port)}{link_path(self._authority, order.id, order.created_at_ms)}"
        )

    @cached_property
    def _authority(self) -> Authority:
        return Authority(
            secret=self._world.credentials.secret.reveal(),
            ttl_s=self._world.settings.security.order_link_ttl_s,
            wall=self._world.host.clock.wall,
        )
