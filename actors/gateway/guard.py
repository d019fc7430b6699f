"""What is refused before Quart sees it: requests that break HTTP, or that proxies read differently.

Hypercorn 0.18 lets pass what h11 lets pass: both Content-Length and Transfer-Encoding (the seed of
request smuggling, RFC 9112, 6.1), invented HTTP versions, targets that are no path - for one of
which Quart 0.22 fails with an IndexError. On a query that is not UTF-8 Quart fails too; h11 would
refuse that one, but that is h11's business.
"""

import re
from collections.abc import Iterable, Mapping
from typing import cast

_TARGET_BYTES_MAX = 2048
_HOST = re.compile(rb"[A-Za-z0-9._\[\]:-]{1,255}")


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
        (cast("str", scope["path"]).startswith("/"), "The request target must be a path."),
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
