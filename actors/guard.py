"""What no application of ours sees: requests that break HTTP, or that proxies read differently.

Quart 0.22 fails on a target that is no path (``GET ?a`` is an IndexError). Hypercorn 0.18 lets pass
what h11 lets pass: both Content-Length and Transfer-Encoding (the seed of request smuggling, RFC
9112, 6.1), invented HTTP versions, targets of other servers. What a head's bytes alone can tell is
refused before, in ``runtime.http_connection``.
"""

import re
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from runtime.http import App, Event, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

_TARGET_BYTES_MAX = 2048
# Quart takes off all leading slashes but one, percent-encoded ones too: what a proxy in front knows
# as //metrics or /%2Fmetrics would be /metrics here.
_PATH = re.compile("/(?!/)")
# Names as DNS has them, and addresses. Werkzeug 3.1 fails on a label of more than 63 characters, or
# of none (it encodes them as IDNA).
_LABEL = rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(
    rb"(?=.{1,255}\Z)(?:%b(?:\.%b)*\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?" % (_LABEL, _LABEL)
)
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return header fields by name in lower case; a repeated one is one list (RFC 9110, 5.3)."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        field = name.lower()
        fields[field] = b"%b, %b" % (fields[field], value) if field in fields else value
    return fields


def objection(scope: Mapping[str, object], headers: Mapping[bytes, bytes]) -> str | None:
    """Return why the request of this ASGI scope, with these `joined` headers, is not taken."""
    target = cast("bytes", scope.get("raw_path") or b"/") + cast("bytes", scope["query_string"])
    expect = headers.get(b"expect", b"100-continue").lower()
    rules = (
        (scope["http_version"] == "1.1", "Only HTTP/1.1 is spoken here."),
        (_PATH.match(cast("str", scope["path"])), "The request target must be a path."),
        (target.isascii(), "The request target must be ASCII, percent-encoded."),
        (len(target) <= _TARGET_BYTES_MAX, "The request target is longer than 2 KiB."),
        (_HOST.fullmatch(headers.get(b"host", b"")), "One valid Host header is needed."),
        (
            not (b"content-length" in headers and b"transfer-encoding" in headers),
            "Content-Length and Transfer-Encoding exclude each other.",
        ),
        (b"upgrade" not in headers, "There is no protocol to upgrade to."),
        (expect == b"100-continue", "Expect may only be 100-continue."),
    )
    return next((reason for holds, reason in rules if not holds), None)


class Guarded:
    """Stands in front of ``app``, the HTTP side of a service that customers never reach.

    What it lets through is answered by the application, and no cache keeps the answer.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 with the reason, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(event: Event) -> None:
            if event["type"] == "http.response.start":
                given = cast("Headers", event["headers"])
                kept = [row for row in given if row[0].lower() != _NO_STORE[0]]
                event["headers"] = [*kept, _NO_STORE, _NOSNIFF]
            await send(event)

        reason = objection(scope, joined(cast("Headers", scope["headers"])))
        if reason is None:
            await self._app(scope, receive, dressed)
        else:
            await _refuse(reason, dressed)


async def _refuse(reason: str, send: Send) -> None:
    problem = {"type": "/problems/bad-request", "title": "The request is not understood"}
    body = msgspec.json.encode({**problem, "status": 400, "detail": reason, "code": "bad-request"})
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
