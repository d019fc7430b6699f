"""Heads of HTTP/1.1 requests, read strictly, and how one that cannot be read is answered.

h11 0.16 takes line feeds alone, folded lines and control characters, which a proxy in front may
read differently (request smuggling: RFC 9112, 2.2 and 5.2).
"""

import re

import h11

PROBLEM = b'{"type":"about:blank","title":"%b","status":%d}'
TITLES = {413: b"Content Too Large", 431: b"Request Header Fields Too Large"}
HEAD_BYTES_MAX = 16 * 1024
HEAD_LINES_MAX = 128
_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>%b</title>
<h1>%b</h1><p>%b</p><p><a href="/">Begin again</a></p></html>
"""
_WHAT_TO_DO = {
    431: b"Your browser sends more with each request than is read here: most often, too many "
    b"cookies. Delete those of this site.",
}
_TAKES_PAGES = re.compile(rb"\naccept:[^\n]*text/html", re.IGNORECASE)
_HEAD = re.compile(rb"(?:(?![ \t])[\t\x20-\x7e\x80-\xff]*\r\n)+")


class StrictRequests(h11.Connection):
    """h11's server side; a head that RFC 9112 only tolerates is an error of the client's.

    ``over``: nothing that comes is looked at any more. ``refused`` is what came of a head that
    cannot be read.
    """

    over = False
    refused = b""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event, as h11 does; the bytes of a head are looked at once more."""
        if self.over:
            return h11.NEED_DATA
        waiting = self.trailing_data[0] if self.their_state is h11.IDLE else b""
        try:
            return self._checked(waiting)
        except h11.RemoteProtocolError as error:
            self.refused = waiting
            # h11 raises it in a frame that holds it: only the collector would free either.
            error.with_traceback(None)
            raise

    def _checked(self, waiting: bytes) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if type(event) is h11.Request:
            head = waiting[: len(waiting) - len(self.trailing_data[0])]
            # h11 bounds a head that has not come to its end only.
            if len(head) > HEAD_BYTES_MAX or head.count(b"\n") > HEAD_LINES_MAX:
                raise h11.RemoteProtocolError("too long a head", error_status_hint=431)
            if not _HEAD.fullmatch(head):
                raise h11.RemoteProtocolError("a head that proxies may read differently")
        return event


def refusal(status: int, head: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return header fields and body for a request whose ``head`` is all that is known of it.

    A page for whoever takes pages, as browsers do; a problem (RFC 9457) for everybody else.
    """
    title = TITLES.get(status, b"Bad Request")
    if _TAKES_PAGES.search(head) is None:
        return [(b"content-type", b"application/problem+json")], PROBLEM % (title, status)
    text = _WHAT_TO_DO.get(status, b"What your browser has sent cannot be read here.")
    fields = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", b"default-src 'none'"),
    ]
    return fields, _PAGE % (title, title, text)
