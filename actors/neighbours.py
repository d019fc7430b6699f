"""The services that this process reaches over HTTP, because other processes run them.

A neighbour that is away stops nobody: whoever asks it is told `Unavailable` and asks again. Whether
it answers is asked again and again, so that readiness tells it without a customer having to find
out: every few seconds while it does (each look is a request, and there are many pairs of
neighbours), every second while it does not, because then somebody waits.
"""

import ssl
import sys
from functools import cache
from importlib.util import find_spec

import anyio
import httpx

from actors.settings import Notification, OrderEventsHttp, Shipping, url_at
from runtime import tracing
from runtime.child import ChildContext, ChildSpec
from runtime.errors import ConfigurationError
from runtime.host import Clock
from runtime.signals import EventTable
from runtime.telemetry import Telemetry

LOOK_S = 5.0
AWAY_LOOK_S = 1.0
LOOK_S_MAX = 2.0
# Hypercorn closes a connection that was idle for 5 s; we must not be just about to use it then.
IDLE_S_MAX = 2.0
IDLE_MAX = 64
EVENTS: EventTable = {
    "neighbour.lost": ("service", "error"),
    "neighbour.back": ("service", "down_s"),
}

if "sniffio" not in sys.modules and find_spec("sniffio") is None:
    # httpcore tries this import several times a request. Where it is not installed, each attempt
    # would look for it in every folder of the path: a quarter of what a request costs.
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # the way to say: not there


class Neighbour:
    """A service somewhere else. ``http`` has its address, and belongs to the process."""

    def __init__(
        self, name: str, http: httpx.AsyncClient, clock: Clock, telemetry: Telemetry
    ) -> None:
        self.name = name
        self.http = http
        self._clock = clock
        self._telemetry = telemetry
        self._answers: bool | None = None
        self._since = clock.monotonic()

    def child(self) -> ChildSpec:
        """Return the child that keeps looking whether it answers."""
        return ChildSpec(f"watch-{self.name}", self.run)

    def check(self) -> str:
        """Return ``ok``, or since when it is away."""
        away_s = self._clock.monotonic() - self._since
        return "ok" if self._answers else f"unreachable {away_s:.0f}s"

    async def run(self, context: ChildContext) -> None:
        """Look until told to stop; an answer that is still awaited then is not waited for."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_looking)
            context.started()
            await context.stopping.wait()
            tasks.cancel_scope.cancel()

    async def _keep_looking(self) -> None:
        while True:
            await self._look()
            await anyio.sleep(LOOK_S if self._answers else AWAY_LOOK_S)

    async def _look(self) -> None:
        try:
            answer = await self.http.get("/healthz", timeout=LOOK_S_MAX)
            error = "" if answer.is_success else f"it answered {answer.status_code}"
        except httpx.TransportError as failure:
            error = type(failure).__name__
        if self._answers is not (answers := not error):
            self._became(answers, error)

    def _became(self, answers: bool, error: str) -> None:
        now = self._clock.monotonic()
        down_s = round(now - self._since, 3)
        self._answers, self._since = answers, now
        if answers:
            self._telemetry.event("neighbour.back", service=self.name, down_s=down_s)
        else:
            self._telemetry.event("neighbour.lost", "warning", service=self.name, error=error)


def neighbour_client(
    url: str, connections_max: int, idle_max: int = IDLE_MAX, tls: ssl.SSLContext | None = None
) -> httpx.AsyncClient:
    """Return an HTTP client for one of our own services: no proxies of the environment.

    A request names the trace that it belongs to. ``tls`` says whom to trust instead of everybody
    that httpx trusts.
    """
    limits = httpx.Limits(
        max_connections=connections_max,
        max_keepalive_connections=idle_max,
        keepalive_expiry=IDLE_S_MAX,
    )
    transport = _Transport(verify=tls or _tls(), trust_env=False, limits=limits)
    return httpx.AsyncClient(base_url=url, transport=transport, trust_env=False)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, where a request names the trace that it belongs to, and a connection that cannot
    be made is a `httpx.ConnectError`, always.

    anyio connects in a task of its own. Where that one is cancelled from outside (see
    `runtime.endings`), it ends with a ValueError about a group without errors; a name that cannot
    be looked up is one, too (UnicodeError). And anyio asks a connection for its address that was
    reset as soon as it was made: uvloop has no socket to ask any more.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        traceparent = tracing.current()
        if traceparent is not None:
            request.headers[tracing.TRACEPARENT] = traceparent
        if traceparent is not None and (state := tracing.current_state()) is not None:
            request.headers[tracing.TRACESTATE] = state
        try:
            return await super().handle_async_request(request)
        except ValueError as error:
            raise httpx.ConnectError(f"cannot connect: {error}", request=request) from error
        except AttributeError as error:
            if (error.obj, error.name) != (None, "getpeername"):
                raise
            raise httpx.ConnectError("reset as soon as connected", request=request) from error


@cache
def _tls() -> ssl.SSLContext:
    """Read the certificates that are trusted, once: it takes 10 ms."""
    return httpx.create_ssl_context(trust_env=False)


def neighbour_url(key: str, row: OrderEventsHttp | Shipping | Notification) -> str:
    """Return the service's ``<key>.url``, or what follows from its bind and port."""
    if row.url:
        return row.url
    if row.port == 0:
        raise ConfigurationError(
            f"{key}.port is 0, a free port, and so nobody knows where {key} is",
            hint=f"set {key}.url, or {key}.port to the port it listens on",
        )
    return url_at(row.bind, row.port)
