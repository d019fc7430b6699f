"""HTTP requests from one of our services to another: over httpx's transport, and not its client.

The transport is the connections, their pool and the protocol. What httpx's client does above it
(cookies, redirects, authentication, merged URLs and headers) costs a third of a request, and our
services know none of it.
"""

import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec

import httpx

from actors.service_pool import ServicePool
from runtime import tracing

# Hypercorn closes a connection that was idle for 5 s; we must not be just about to use it then.
IDLE_S_MAX = 2.0
IDLE_MAX = 64
Params = Mapping[str, str | int | float | Sequence[str]]

if "sniffio" not in sys.modules and find_spec("sniffio") is None:
    # httpcore tries this import several times a request. Where it is not installed, each attempt
    # would look for it in every folder of the path: a quarter of what a request costs.
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # the way to say: not there


class ServiceClient:
    """Sends requests to the service at ``url``, or with an empty one to whichever they name.

    ``on_success`` is called for each answer that says so.
    """

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        self._url = url.rstrip("/")
        self._transport = transport
        self.on_success: Callable[[], None] | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: bytes | None = None,
        params: Params | None = None,
        timeout_s: float,
    ) -> httpx.Response:
        """Return the answer, whole; ``body`` is JSON. Raises `httpx.TransportError`.

        ``timeout_s`` is for each step: to be given a connection, to make it, to write, to read.
        """
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = httpx.Request(
            method,
            self._url + path,
            params=params or None,
            headers=headers,
            content=body,
            extensions={"timeout": httpx.Timeout(timeout_s).as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        if self.on_success is not None and response.is_success:
            self.on_success()
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def service_transport(
    connections_max: int, idle_max: int = IDLE_MAX, tls: ssl.SSLContext | None = None
) -> "ServiceTransport":
    """Return connections to services: through no proxies of the environment.

    A request names the trace that it belongs to. ``tls`` says whom to trust instead of everybody
    that httpx trusts.
    """
    trusted = tls or _tls()
    pool = ServicePool(
        ssl_context=trusted,
        max_connections=connections_max,
        max_keepalive_connections=idle_max,
        keepalive_expiry=IDLE_S_MAX,
    )
    return ServiceTransport(trusted, pool)


class ServiceTransport(httpx.AsyncHTTPTransport):
    """httpx's own, where a request names the trace that it belongs to, and a connection that cannot
    be made is a `httpx.ConnectError`, always.

    anyio connects in a task of its own. Where that one is cancelled from outside (see
    `runtime.endings`), it ends with a ValueError about a group without errors; a name that cannot
    be looked up is one, too (UnicodeError). And anyio asks a connection for its address that was
    reset as soon as it was made: uvloop has no socket to ask any more.
    """

    def __init__(self, tls: ssl.SSLContext, pool: ServicePool) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = self._service_pool = pool

    def connections_in_use(self) -> int:
        """Return how many connections carry a request now, or are being made for one."""
        return self._service_pool.in_use

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, in the trace of who asks; raises `httpx.TransportError`."""
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
