"""The shipping service reached over HTTP: `Shipments` for a gateway in a process of its own.

A request that got no answer, for whatever reason, may have been carried out: whoever asks again
with the same carrier and tracking number is told the original. A wrong token is nobody's business
decision, so it is `Unavailable`, as is everything that is no answer of the shipping service.
"""

from urllib.parse import quote

import httpx
import msgspec

from actors.domain.event_json import event_of
from actors.domain.order_events import Recorded
from actors.service_client import ServiceClient
from actors.shipping.rest import SHIPPED_PATH, SHOWN, ShippedReply
from actors.shipping.shipments import DEADLINE_S
from runtime.errors import DeadlineExceeded, Rejection, Unavailable


class _Problem(msgspec.Struct, frozen=True):
    type: str
    title: str


class HttpShipments:
    """`Shipments` over an HTTP client of the service; ``token`` is the gateway's.

    A request ends within ``deadline_s``.
    """

    def __init__(self, http: ServiceClient, token: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._http = http
        self._token = token
        self._deadline_s = deadline_s

    async def shipped(
        self, order_id: str, carrier: str, tracking: str, correlation_id: str
    ) -> Recorded:
        """Note that the parcel was taken; see `Shipments.shipped`."""
        body = {"carrier": carrier, "tracking": tracking, "correlation_id": correlation_id}
        try:
            response = await self._http.request(
                "POST",
                SHIPPED_PATH.replace("<order_id>", quote(order_id, safe="")),
                token=self._token,
                body=msgspec.json.encode(body),
                timeout_s=self._deadline_s,
            )
        except httpx.TimeoutException as error:
            message = "shipping did not answer in time: the outcome is unknown"
            raise DeadlineExceeded(message) from error
        except httpx.TransportError as error:
            raise Unavailable(f"shipping cannot be reached: {type(error).__name__}") from error
        if not response.is_success:
            raise _failure(response)
        try:
            reply = msgspec.json.decode(response.content, type=ShippedReply)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable("shipping gave an answer that cannot be read") from error
        return Recorded(event_of(reply.event), reply.replayed)


def _failure(response: httpx.Response) -> Exception:
    status = response.status_code
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
        members = msgspec.json.decode(response.content, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Unavailable(f"shipping answered {status} without a reason")
    code = problem.type.rpartition("/")[2]
    if status >= 500 or status == 401:
        after = response.headers.get("Retry-After", "")
        retry_after_s = float(after) if after.isdecimal() else None
        return Unavailable(f"shipping answered {status} {code}", retry_after_s=retry_after_s)
    details = {name: members[name] for name in SHOWN if name in members}
    return Rejection(code, problem.title, status_hint=status, details=details)
