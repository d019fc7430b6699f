"""The notification service's HTTP side: the customers' mails, and what every service shows.

Only the gateway asks for mails, with a bearer token of its own; without a token for it nobody is
answered.
"""

import hmac
from collections.abc import Mapping

import msgspec
from quart import Quart, Response, request

from actors.domain.correspondence import Correspondence, LinkUrl, MailSent, MailShown
from actors.status import Check, StatusQuery, answer, problem, status_app
from runtime.errors import Rejection
from runtime.telemetry import Telemetry

MAILS_PATH = "/internal/v1/mails"
ABOUT_PATH = f"{MAILS_PATH}/about/<order_id>"
LINKS_PATH = f"{MAILS_PATH}/links"
MAILBOX_MAX = 100


class AboutReply(msgspec.Struct, frozen=True):
    """The mails about one order."""

    data: list[MailSent]


class MailboxReply(msgspec.Struct, frozen=True):
    """The latest mails; null where they are not kept here."""

    data: list[MailShown] | None


class LinkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which order's customer is to get which link."""

    order_id: str | None
    url: LinkUrl


def notification_app(
    correspondence: Correspondence,
    *,
    token: str,
    checks: Mapping[str, Check],
    telemetry: Telemetry,
    status: StatusQuery,
) -> Quart:
    """Return the service's app; ``token`` is the gateway's.

    ``GET /internal/v1/mails`` the latest mails; ``GET …/about/{order_id}`` an order's;
    ``POST …/links {order_id, url}`` 202. 401 without the token; 422 validation-failed; 503.
    """
    app = status_app("notification", checks=checks, telemetry=telemetry, status=status)

    @app.before_request
    async def admit() -> Response | None:
        if not request.path.startswith(MAILS_PATH) or _known(token):
            return None
        refused = problem(401, "unauthorized", "The gateway's bearer token is needed")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    @app.get(MAILS_PATH)
    async def mailbox() -> Response:
        return answer(MailboxReply(await correspondence.mailbox(MAILBOX_MAX)))

    @app.get(ABOUT_PATH)
    async def about(order_id: str) -> Response:
        return answer(AboutReply(await correspondence.about(order_id)))

    @app.post(LINKS_PATH)
    async def links() -> Response:
        try:
            asked = msgspec.json.decode(await request.get_data(cache=False), type=LinkRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            message = "The body must hold `order_id` (or null) and `url`."
            raise Rejection("validation-failed", message, status_hint=422) from None
        await correspondence.send_link(asked.order_id, asked.url)
        return answer({}, 202)

    @app.errorhandler(Rejection)
    async def refuse(refusal: Rejection) -> Response:
        return problem(refusal.status_hint, refusal.code, refusal.message)

    return app


def _known(token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    equal = hmac.compare_digest(given.encode(), token.encode())
    return bool(token) and equal and scheme.lower() == "bearer"
