"""The services' operator sides as the gateway reaches them, wherever they run: over their own HTTP.

It is the command line's way to them, too: same routes, same token, so what an operator does on a
page is in the same audit. A service of this process is reached at the port that it has taken.
"""

from collections.abc import Callable
from typing import TypeVar

import httpx
import msgspec

from actors.domain.event_json import rfc3339
from actors.gateway.console.backstage import ProcessStatus
from actors.service_client import Params, ServiceClient
from actors.services import OPERATOR_PREFIX, ServiceName
from runtime.errors import DeadlineExceeded, Rejection, Unavailable
from runtime.host import Clock

T = TypeVar("T")
Address = Callable[[ServiceName], str | None]
"""Returns where a service listens; None where nobody has said so."""

ANSWER_S_MAX = 65.0  # what a service does for an operator takes it a minute at most
LOOK_S_MAX = 5.0
STATUS_PATH = "/internal/v1/status"


class HttpDesks:
    """`Desks` over one HTTP client; see `actors.gateway.console.backstage`.

    ``service_token`` is the gateway's own, by which order-events shows its status.
    """

    def __init__(
        self,
        http: ServiceClient,
        clock: Clock,
        address: Address,
        *,
        operator_token: str,
        service_token: str,
    ) -> None:
        self._http = http
        self._clock = clock
        self._address = address
        self._operator_token = operator_token
        self._service_token = service_token
        self._lost_at_ms: dict[str, int] = {}

    async def ask(
        self,
        service: ServiceName,
        path: str,
        kind: type[T],
        *,
        params: dict[str, str | int] | None = None,
        wait_s: float = 0.0,
    ) -> T:
        """Read something; see `Desks.ask`."""
        within_s = LOOK_S_MAX + wait_s
        response = await self._send(
            service, "GET", OPERATOR_PREFIX + path, self._operator_token, within_s, params=params
        )
        return self._decoded(service, response, kind)

    async def act(
        self, service: ServiceName, path: str, kind: type[T], body: dict[str, object]
    ) -> T:
        """Have something done; see `Desks.act`."""
        response = await self._send(
            service, "POST", OPERATOR_PREFIX + path, self._operator_token, ANSWER_S_MAX, body=body
        )
        return self._decoded(service, response, kind)

    async def status(self, service: ServiceName) -> ProcessStatus:
        """Return what a service says of itself; see `Desks.status`."""
        response = await self._send(service, "GET", STATUS_PATH, self._service_token, LOOK_S_MAX)
        return self._decoded(service, response, _Status).status

    async def _send(
        self,
        service: ServiceName,
        method: str,
        path: str,
        token: str,
        within_s: float,
        *,
        params: Params | None = None,
        body: dict[str, object] | None = None,
    ) -> httpx.Response:
        base = self._address(service)
        if base is None:
            key = service.replace("-", "_")
            raise Unavailable(f"nobody has said where {service} listens: set {key}.port")
        try:
            response = await self._http.request(
                method,
                base + path,
                token=token,
                body=None if body is None else msgspec.json.encode(body),
                params=params,
                timeout_s=within_s,
            )
        except httpx.TransportError as error:
            raise self._away(service, error, method) from error
        self._lost_at_ms.pop(service, None)
        if response.is_success:
            return response
        raise _failure(service, response)

    def _away(self, service: ServiceName, error: httpx.TransportError, method: str) -> Unavailable:
        now_ms = int(self._clock.wall() * 1000)
        since = rfc3339(self._lost_at_ms.setdefault(service, now_ms))
        text = f"{service} is unreachable since {since[11:19]} UTC ({type(error).__name__})"
        if method == "GET" or isinstance(error, httpx.ConnectError):
            return Unavailable(text)
        return DeadlineExceeded(f"{text}: whether it was done, its audit will say")

    @staticmethod
    def _decoded(service: ServiceName, response: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable(f"{service} gave an answer that cannot be read") from error


class _Status(msgspec.Struct, frozen=True):
    status: ProcessStatus


class _Problem(msgspec.Struct, frozen=True):
    type: str = ""
    title: str = ""
    detail: str = ""


def _failure(service: ServiceName, response: httpx.Response) -> Exception:
    status = response.status_code
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Unavailable(f"{service} answered {status} without a reason")
    if status == 401:
        return Unavailable(f"{service} does not know the token of this gateway")
    if status >= 500:
        return Unavailable(f"{service}: {problem.detail or problem.title}")
    slug = problem.type.rpartition("/")[2]
    return Rejection(slug, problem.title, status_hint=status)
