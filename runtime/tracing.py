"""What a piece of work belongs to: W3C Trace Context, and the spans that a collector may get.

Its law: the ``traceparent`` that comes with a request or a message goes on with everything that
follows from it - appended events, messages and their copies, requests to other services - whether
or not anybody collects spans. Where spans are collected, each one takes the place of the context it
was begun in, for what follows from it.

The ``tracestate`` that came with it, what other vendors have to say of the trace, goes along as it
is. It is text of anybody's, kept as long as the event: a member that could be a person's data is
let go of, and the others stay, as the recommendation permits (W3C Trace Context, 3.5 and 6). Digits
alone are no such data: vendors put times and ids there.

The context belongs to a task: tasks that work on one thing after another `follow` each of them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

from runtime.redaction import could_be_personal

TRACEPARENT = "traceparent"
"""The name of the HTTP header, and of the header of a message."""

TRACESTATE = "tracestate"
"""The name of the other one."""
TRACESTATE_MAX = 512

Kind = Literal["server", "client", "producer", "consumer", "internal"]
Attributes = Mapping[str, str | int]

# W3C Trace Context, 3.2: version ff is none, and neither are ids of zeros.
_WELL_FORMED = re.compile(
    "(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


# 3.3.1: up to 32 members, key=value; the key may have a vendor after an @.
_MEMBER = (
    r"[a-z0-9][a-z0-9_*/-]{0,255}(?:@[a-z][a-z0-9_*/-]{0,13})?=[!-+\--<>-~ ]{0,255}[!-+\--<>-~]"
)
_STATE = re.compile(rf"{_MEMBER}(?:[ \t]*,[ \t]*{_MEMBER}){{0,31}}")


class Span(Protocol):
    """A piece of work that has begun. ``traceparent`` names it to what follows from it."""

    @property
    def traceparent(self) -> str:
        """The span as the parent of others."""
        ...

    def note(self, name: str, value: str | int) -> None:
        """Set an attribute."""
        ...

    def fail(self, error: str) -> None:
        """It did not do what it was to do, for a reason of few and fixed words."""
        ...

    def end(self) -> None:
        """The work has ended; what is said after that is not kept."""
        ...


class Spans(Protocol):
    """Where spans go."""

    def begin(self, name: str, kind: Kind, parent: str | None, attributes: Attributes) -> Span:
        """Begin a span below ``parent`` (a traceparent), or a new trace."""
        ...

    def close(self) -> None:
        """Send what has ended, within seconds; nothing is sent any more after that."""
        ...


_STATE_NOW: ContextVar[str | None] = ContextVar("trace-state", default=None)
_CURRENT: ContextVar[str | Span | None] = ContextVar("trace", default=None)


def well_formed(text: object) -> str | None:
    """Return a ``traceparent`` as it came from outside, if it is one.

    >>> well_formed("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    >>> well_formed("00-00000000000000000000000000000000-b7ad6b7169203331-01") is None
    True
    """
    if isinstance(text, str) and _WELL_FORMED.fullmatch(text):
        return text
    return None


def well_formed_state(text: object) -> str | None:
    """Return a ``tracestate`` as it came from outside, if it is one that may be kept.

    >>> well_formed_state("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7'
    >>> well_formed_state("user=ada@example.org"), well_formed_state("a=1,card=4242424242424242")
    (None, 'a=1')
    """
    if not isinstance(text, str) or not 0 < len(text) <= TRACESTATE_MAX:
        return None
    if not _STATE.fullmatch(text):
        return None
    members = text.split(",")  # no key and no value has a comma
    kept = [member for member in members if not could_be_personal(member)]
    return ",".join(kept).strip(" \t") or None


def follow(place: str | Span | None, state: str | None = None) -> None:
    """Have what this task does from now on belong there: a traceparent, a span, or no trace.

    ``state`` is the ``tracestate`` that goes along.
    """
    _CURRENT.set(place)
    _STATE_NOW.set(None if place is None else state)


def current() -> str | None:
    """Return the traceparent of what this task works on."""
    place = _CURRENT.get()
    return place if place is None or isinstance(place, str) else place.traceparent


def current_state() -> str | None:
    """Return the tracestate of what this task works on."""
    return _STATE_NOW.get()


def current_span() -> Span | None:
    """Return the span that this task works in; None where no spans are collected."""
    place = _CURRENT.get()
    return None if isinstance(place, str) else place


@contextmanager
def inside(span: Span) -> Iterator[None]:
    """Work in ``span`` until the block ends, and end it."""
    before = _CURRENT.set(span)
    try:
        yield
    except BaseException as error:
        span.fail(type(error).__name__)
        raise
    finally:
        _CURRENT.reset(before)
        span.end()
