"""What is refused before Quart sees it: requests that break HTTP, or that proxies read differently.

Hypercorn 0.18 lets pass what h11 lets pass: both Content-Length and Transfer-Encoding (the seed of
request smuggling, RFC 9112, 6.1), invented HTTP versions, targets that are no path - for one of
which Quart 0.22 fails with an IndexError. On a query that is not UTF-8 Quart fails too; h11 would
refuse that one, but that is h11's business.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import cast

import msgspec

from actors.gateway import problems
from actors.gateway.context import Gateway
from actors.gateway.middleware import SECURITY_HEADERS, request_id
from runtime.errors import Rejection

Scope = MutableMapping[str, object]
Event = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_TARGET_BYTES_MAX = 2048
_HOST = re.compile(rb"[A-Za-z0-9._\[\]:-]{1,255}")
_encode = msgspec.json.Encoder().encode


class Guard:
    """Stands in front of the ASGI application ``app``."""

    def __init__(self, app: App, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 with the reason, close a websocket, or pass the request on."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http" and (objection := _objection(scope)):
            await self._refuse(scope, objection, send)
        else:
            await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, objection: str, send: Send) -> None:
        given = dict(cast("Headers", scope["headers"])).get(b"request-id", b"").decode("latin-1")
        id_ = request_id(given, self._gateway)
        answer = problems.answer(
            Rejection("bad-request", objection, status_hint=400),
            base_url=self._gateway.public_url,
            instance=None,
            request_id=id_,
        )
        body = _encode(answer.members)
        headers = {
            "Content-Type": "application/problem+json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            "Request-Id": id_,
            **SECURITY_HEADERS,
        }
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._gateway.telemetry.count(
            "http_requests_total", method="other", route="refused", status=answer.status
        )
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _objection(scope: Scope) -> str | None:
    """Return why this request is not taken, or None."""
    headers = cast("Headers", scope["headers"])
    names = {name.lower(): value for name, value in headers}
    hosts = [value for name, value in headers if name.lower() == b"host"]
    target = cast("bytes", scope.get("raw_path") or b"/") + cast("bytes", scope["query_string"])
    expect = names.get(b"expect", b"100-continue").lower()
    rules = (
        (scope["http_version"] == "1.1", "Only HTTP/1.1 is spoken here."),
        (cast("str", scope["path"]).startswith("/"), "The request target must be a path."),
        (target.isascii(), "The request target must be ASCII, percent-encoded."),
        (len(target) <= _TARGET_BYTES_MAX, "The request target is longer than 2 KiB."),
        (len(hosts) == 1 and _HOST.fullmatch(hosts[0]), "One valid Host header is needed."),
        (
            not (b"content-length" in names and b"transfer-encoding" in names),
            "Content-Length and Transfer-Encoding exclude each other.",
        ),
        (b"upgrade" not in names, "There is no protocol to upgrade to."),
        (expect == b"100-continue", "Expect may only be 100-continue."),
    )
    return next((reason for holds, reason in rules if not holds), None)
