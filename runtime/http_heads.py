"""Heads of HTTP/1.1 requests, read strictly.

h11 0.16 takes line feeds alone, folded lines and control characters, which a proxy in front may
read differently (request smuggling: RFC 9112, 2.2 and 5.2).
"""

import re

import h11

HEAD_BYTES_MAX = 16 * 1024
HEAD_LINES_MAX = 128
_HEAD = re.compile(rb"(?:(?![ \t])[\t\x20-\x7e\x80-\xff]*\r\n)+")


class StrictRequests(h11.Connection):
    """h11's server side; a head that RFC 9112 only tolerates is an error of the client's.

    ``over``: nothing that comes is looked at any more.
    """

    over = False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event, as h11 does; the bytes of a head are looked at once more."""
        if self.over:
            return h11.NEED_DATA
        waiting = self.trailing_data[0] if self.their_state is h11.IDLE else b""
        event = super().next_event()
        if type(event) is h11.Request:
            head = waiting[: len(waiting) - len(self.trailing_data[0])]
            # h11 bounds a head that has not come to its end only.
            if len(head) > HEAD_BYTES_MAX or head.count(b"\n") > HEAD_LINES_MAX:
                raise h11.RemoteProtocolError("too long a head", error_status_hint=431)
            if not _HEAD.fullmatch(head):
                raise h11.RemoteProtocolError("a head that proxies may read differently")
        return event
