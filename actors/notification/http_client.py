"""The notification service reached over HTTP, for a gateway in a process of its own.

Everything that is no answer of the service, a wrong token included, is `Unavailable`: the pages do
without it.
"""

from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from actors.domain.correspondence import MailSent, MailShown
from actors.notification.rest import (
    ABOUT_PATH,
    LINKS_PATH,
    MAILS_PATH,
    AboutReply,
    LinkRequest,
    MailboxReply,
)
from actors.service_client import ServiceClient
from runtime.errors import Unavailable

R = TypeVar("R", bound=msgspec.Struct)

DEADLINE_S = 2.0


class HttpCorrespondence:
    """`Correspondence` over an HTTP client of the service.

    A request ends within ``deadline_s``. With no ``http`` nobody knows where the service is, and
    with no ``token`` it does not answer.
    """

    def __init__(
        self, http: ServiceClient | None, token: str, *, deadline_s: float = DEADLINE_S
    ) -> None:
        self._http = http
        self._token = token
        self._deadline_s = deadline_s

    async def about(self, order_id: str) -> list[MailSent]:
        """Ask for an order's mails; see `Correspondence.about`."""
        path = ABOUT_PATH.replace("<order_id>", quote(order_id, safe=""))
        return _decoded(await self._ask("GET", path), AboutReply).data

    async def send_link(self, order_id: str | None, url: str) -> None:
        """Ask for a mail with the link; see `Correspondence.send_link`."""
        body = msgspec.json.encode(LinkRequest(order_id, url))
        await self._ask("POST", LINKS_PATH, body)

    async def mailbox(self, limit: int) -> list[MailShown] | None:
        """Ask for the latest mails; see `Correspondence.mailbox`."""
        mails = _decoded(await self._ask("GET", MAILS_PATH), MailboxReply).data
        return None if mails is None else mails[:limit]

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        if self._http is None:
            raise Unavailable("nobody knows where notification is: set notification.url")
        try:
            response = await self._http.request(
                method, path, token=self._token, body=body, timeout_s=self._deadline_s
            )
        except httpx.TransportError as error:
            raise Unavailable(f"notification cannot be reached: {type(error).__name__}") from error
        if not response.is_success:
            raise Unavailable(f"notification answered {response.status_code}")
        return response


def _decoded(response: httpx.Response, kind: type[R]) -> R:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable("notification gave an answer that cannot be read") from error
