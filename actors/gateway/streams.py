"""An order's events as they happen: server-sent events (WHATWG HTML, 9.2).

A stream reads the store from the version that the client has seen last, so a reconnect has no gap.
It holds no queue: a slow reader makes it wait, and it goes on from the store. It ends by itself
when the order can change no more (``complete``), when the server stops (``bye``), and after a
bounded life, from which a client resumes with Last-Event-ID.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
import msgspec
from quart import Response, request

from actors.domain.event_json import event_json
from actors.domain.events import Event
from actors.gateway import parameters
from actors.gateway.context import Facts, Gateway, facts, header
from actors.gateway.rate_limit import rate_limited
from actors.gateway.refusals import log_bug
from runtime.errors import Rejection, Unavailable

T = TypeVar("T")

RETRY = b"retry: 1000\n\n"
HEARTBEAT = b": still here\n\n"
_COMPLETE = b"event: complete\ndata: {}\n\n"
BYE = b"event: bye\ndata: {}\n\n"
_PAGE = 100
_GRACE_S = 30.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_encode = msgspec.json.Encoder().encode


class Streams:
    """The open streams of one app: how many there are, and how to end them all at once."""

    def __init__(self) -> None:
        self.open = 0
        self.stopping = False
        self._waiting: dict[int, anyio.CancelScope] = {}
        self._number = 0

    def stop(self) -> None:
        """End every stream with ``bye``, now: the server is about to close."""
        self.stopping = True
        for scope in self._waiting.values():
            scope.cancel()

    def resume(self) -> None:
        """Take streams again: the server has started anew."""
        self.stopping = False

    async def unless_stopped(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return the work's result; None where `stop` was called before it was there."""
        if self.stopping:
            return None
        self._number += 1
        number = self._number
        with anyio.CancelScope() as self._waiting[number]:
            try:
                return await work()
            finally:
                del self._waiting[number]
        return None


class StreamReads:
    """The handler of an order's stream."""

    def __init__(self, gateway: Gateway, streams: Streams) -> None:
        self._gateway = gateway
        self._streams = streams

    async def stream(self, order_id: str) -> Response:
        """Answer with the order's events after the given version, and those to come."""
        self._gateway.admit(order_id)
        return await self.admitted(order_id)

    async def admitted(self, order_id: str) -> Response:
        """Do `stream` for a reader who was admitted already."""
        seen = header("last-event-id") or request.args.get("after", "0")
        after = parameters.whole("after", seen)
        await self._gateway.order_events.order(order_id)
        return self.opened(self._frames(order_id, after))

    def opened(self, frames: AsyncIterator[bytes]) -> Response:
        """Answer with these frames: counted, bounded, and not for a HEAD; Rejection rate-limited.

        They must end with `BYE` where `unless_stopped` says so, and once they have `outlived`.
        """
        limits = self._gateway.limits
        if self._streams.open >= limits.streams_max:
            raise rate_limited("Too many event streams are open.", 5)
        if request.method == "HEAD":
            return Response(b"", 200, _HEADERS, content_type="text/event-stream")
        counted = self._counted(frames, facts())
        response = Response(counted, 200, _HEADERS, content_type="text/event-stream")
        # Not None: this cuts off a reader that accepts no bytes, and would keep its place for ever.
        response.timeout = limits.stream_s_max + _GRACE_S
        return response

    async def unless_stopped(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return the work's result; None where the server is about to close."""
        return await self._streams.unless_stopped(work)

    @property
    def heartbeat_s(self) -> float:
        """How long a stream may be silent."""
        return self._gateway.limits.heartbeat_s

    def end(self) -> float:
        """Return when a stream that begins now has lived long enough; see `outlived`."""
        return self._gateway.host.clock.monotonic() + self._gateway.limits.stream_s_max

    def outlived(self, end: float) -> bool:
        """Whether a stream's time is over: its client comes back by itself."""
        return self._gateway.host.clock.monotonic() >= end

    async def _counted(self, frames: AsyncIterator[bytes], known: Facts) -> AsyncIterator[bytes]:
        """Pass the frames on, count the stream, and say so where it ends by an error of ours."""
        self._count(1)
        try:
            async for frame in frames:
                yield frame
        except (Rejection, Unavailable):
            return  # the client comes back by itself and is told in a proper answer
        except Exception as error:
            log_bug(self._gateway.telemetry, error, "GET", known.route, known.request_id)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._streams.open += change
        self._gateway.telemetry.gauge("stream_clients", self._streams.open)

    async def _frames(self, order_id: str, after: int) -> AsyncIterator[bytes]:
        end = self.end()
        wait_s = 0.0  # what is there already comes first, and so does the end of a settled order
        checked = False
        yield RETRY
        while not self.outlived(end):
            events = await self._streams.unless_stopped(
                partial(self._next, order_id, after, wait_s)
            )
            if events is None:
                yield BYE
                return
            wait_s = self._gateway.limits.heartbeat_s
            for event in events:
                yield _frame(event)
                after = event.version
            if not events:
                yield HEARTBEAT
                if checked:
                    continue  # an order is settled by an event only
            checked = len(events) < _PAGE
            if checked and await self._complete(order_id, after):
                yield _COMPLETE
                return

    async def _next(self, order_id: str, after: int, wait_s: float) -> list[Event]:
        return await self._gateway.order_events.events(
            order_id, after=after, limit=_PAGE, wait_s=wait_s
        )

    async def _complete(self, order_id: str, after: int) -> bool:
        order = await self._gateway.order_events.order(order_id)
        return order.settled and after >= order.version


def _frame(event: Event) -> bytes:
    data = _encode(event_json(event))
    return b"id: %d\nevent: order.event\ndata: %b\n\n" % (event.version, data)
