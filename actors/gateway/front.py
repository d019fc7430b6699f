"""What happens around every request, outside of Quart: its id, the refusal of what breaks HTTP, the
security headers, the metrics.

An id from outside is taken over where it is harmless; metrics see the route's template, never the
path. The headers are the basic set of the OWASP secure headers project, and are put on here, in
bytes, because that is what every answer passes and because it is three times cheaper.
"""

import re
from collections.abc import Mapping
from typing import cast

import msgspec

from actors.gateway import problems
from actors.gateway.context import FACTS, Facts
from actors.gateway.idempotency import names_card_number
from actors.gateway.pages.errors import plain_page
from actors.guard import Headers, joined, objection
from actors.traced import PROBES
from runtime.errors import Overloaded, Rejection, Unavailable
from runtime.host import Host
from runtime.http import App, Event, Receive, Scope, Send
from runtime.telemetry import Telemetry

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}
_SECURITY: Headers = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_HARMLESS_ID = re.compile(rb"[\x21-\x7e]{1,64}")
_METHODS = ("GET", "HEAD", "POST", "PUT")
_HTML = b"text/html; charset=utf-8"
_STREAM = "/events/stream"
_encode = msgspec.json.Encoder().encode


class Front:
    """Stands in front of the ASGI application ``app``; ``base_url`` precedes problems' types.

    ``sheet`` is the address of the style sheet for pages that refuse.

    ``requests_max`` reads, and as many writes, are in work at a time: what comes on top would only
    wait, so it is told at once to come back. Probes are always answered; event streams wait most
    of the time, and are counted by themselves.
    """

    def __init__(
        self,
        app: App,
        host: Host,
        telemetry: Telemetry,
        base_url: str,
        *,
        requests_max: int,
        sheet: str,
    ) -> None:
        self._app = app
        self._host = host
        self._telemetry = telemetry
        self._base_url = base_url
        self._requests_max = requests_max
        self._sheet = sheet
        self._in_work = {"read": 0, "write": 0}
        telemetry.gauge("http_requests_in_work", lambda: self._in_work["read"], kind="read")
        telemetry.gauge("http_requests_in_work", lambda: self._in_work["write"], kind="write")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 with the reason, 503 where there is too much to do, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = joined(cast("Headers", scope["headers"]))
        facts = Facts(self._request_id(headers), self._host.clock.monotonic(), headers)
        FACTS.set(facts)
        method = cast("str", scope["method"])
        method = method if method in _METHODS else "other"

        async def dressed(event: Event) -> None:
            if event["type"] == "http.response.start":
                shown = cast("Headers", event["headers"])
                given = (b"request-id", facts.request_id.encode())
                event["headers"] = [*shown, given, *_SECURITY]
                self._count(method, facts, cast("int", event["status"]))
            await send(event)

        if reason := objection(scope, headers):
            await self._refuse(Rejection("bad-request", reason, status_hint=400), facts, dressed)
        elif (kind := _kind(scope)) is None:
            await self._app(scope, receive, dressed)
        elif self._in_work[kind] >= self._requests_max:
            await self._refuse(Overloaded("too many requests in work"), facts, dressed)
        else:
            self._in_work[kind] += 1
            try:
                await self._app(scope, receive, dressed)
            finally:
                self._in_work[kind] -= 1

    def _request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the client's own request id where it is harmless, else a new one."""
        given = headers.get(b"request-id", b"")
        if _HARMLESS_ID.fullmatch(given) and not names_card_number(given.decode()):
            return given.decode()
        return self._host.ids.new("req")

    def _count(self, method: str, facts: Facts, status: int) -> None:
        route = facts.route
        self._telemetry.count("http_requests_total", method=method, route=route, status=status)
        seconds = self._host.clock.monotonic() - facts.since
        self._telemetry.observe(
            "http_request_duration_seconds", seconds, method=method, route=route
        )

    async def _refuse(self, error: Rejection | Unavailable, facts: Facts, send: Send) -> None:
        answer = problems.answer(
            error,
            base_url=self._base_url,
            instance=None,
            request_id=facts.request_id,
        )
        reads_html = b"text/html" in facts.headers.get(b"accept", b"")
        body = plain_page(answer, self._sheet) if reads_html else _encode(answer.members)
        headers = [
            (b"content-type", _HTML if reads_html else b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
            *((name.lower().encode(), text.encode()) for name, text in answer.headers.items()),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _kind(scope: Scope) -> str | None:
    """Return by which budget the request is bounded; None for what is never refused."""
    path = cast("str", scope["path"])
    if path in PROBES or path.endswith(_STREAM):
        return None
    return "read" if scope["method"] in ("GET", "HEAD") else "write"
