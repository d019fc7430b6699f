"""One HTTP/1.1 connection: Hypercorn's, without what cannot be switched off there.

The law of this file:
- HTTP/1.1 is all that is spoken. Hypercorn 0.18 answers ``Upgrade: h2c`` with 101, and speaks
  HTTP/2 to whoever opens with its preface; a few frames out of order then end in a KeyError, a
  UnicodeDecodeError or a TooManyStreamsError. Here both are requests like any other.
- A head is read strictly (`runtime.http_heads`).
- What cannot be read is answered 4xx, as a problem (RFC 9457) or, to a browser, as a page. h11
  would say 501 of an unknown transfer coding.
- Every connection ends. A client that takes no bytes is cut off, where Hypercorn waits for it for
  ever; one whose request was answered before all of it had arrived is heard out for a moment, so
  that it can read the answer; and what is left unread blocks nobody (Hypercorn waits for room in an
  application's queue, or for the turn of a second request, although both are over).
- What is sent in one turn of the event loop leaves together: head and body of an answer are one
  write, and most often one packet.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import h11
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, ConnectionState, Scope
from hypercorn.utils import parse_socket_addr

from runtime.endings import fatal_error
from runtime.errors import StoreBroken
from runtime.http_heads import PROBLEM, StrictRequests, refusal

STALL_S = 10.0
LINGER_S = 5.0
LINGER_BYTES_MAX = 1024 * 1024
BUFFER_BYTES = 16 * 1024

_BUSY_BODY = PROBLEM % (b"Service Unavailable", 503)
_BUSY = (
    b"HTTP/1.1 503 \r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
    b"retry-after: 1\r\nconnection: close\r\n\r\n%b" % (len(_BUSY_BODY), _BUSY_BODY)
)


class Http1(H11Protocol):
    """Hypercorn's HTTP/1.1 without upgrades, neither to HTTP/2 nor to a websocket."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)  # type: ignore[arg-type]
        self.connection: StrictRequests = StrictRequests(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )

    @property
    def waits_for_client(self) -> bool:
        """Whether there is no whole request: it is the client's turn."""
        return self.connection.their_state in (h11.IDLE, h11.SEND_BODY, h11.ERROR)

    @property
    def was_cut_short(self) -> bool:
        """Whether the client may be sending a request that nobody wants to hear any more."""
        return self.connection.their_state in (h11.SEND_BODY, h11.ERROR)

    async def handle(self, event: Event) -> None:
        """Take bytes, or the end of them."""
        if isinstance(event, Closed):
            await self.finish()
        await super().handle(event)

    async def finish(self) -> None:
        """Read no more: whoever waits for the end of a request, to read the next one, goes on."""
        self.connection.over = True
        await self.can_read.set()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Hypercorn would switch to HTTP/2 here."""

    async def _create_stream(self, request: h11.Request) -> None:
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1

    async def _send_error_response(self, status_code: int) -> None:
        status = status_code if 400 <= status_code < 500 else 400
        fields, body = refusal(status, self.connection.refused)
        headers = [
            *fields,
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await self._send_h11_event(h11.Response(headers=headers, status_code=status))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class _Applications(TaskGroup):
    """Hypercorn's tasks of one connection; events for an application that has ended are dropped."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        put = await super().spawn_app(app, config, scope, send)
        # The queue itself is reachable through its own method only.
        queue = cast("asyncio.Queue[ASGIReceiveEvent]", put.__self__)  # type: ignore[attr-defined]

        async def hand_over(event: ASGIReceiveEvent) -> None:
            if event["type"] == "http.disconnect":
                while not queue.empty():  # and so whoever waits for room gets it
                    queue.get_nowait()
            await queue.put(event)

        return hand_over


class Connection(TCPServer):
    """One connection from its first byte to its last; `run` returns when it is closed.

    ``used`` is called whenever a request has been answered and the next one may come.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        used: Callable[["Connection"], None],
    ) -> None:
        super().__init__(app, asyncio.get_running_loop(), config, context, {}, reader, writer)
        writer.transport.set_write_buffer_limits(BUFFER_BYTES)
        self._http: Http1 | None = None
        self._used = used
        self._joined: list[bytes] = []
        self._idle: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing of ours is lost by closing it now."""
        return self._end is not None or self._http is None or self._http.waits_for_client

    def refuse(self) -> None:
        """Say that there are too many connections, instead of `run`."""
        self.writer.write(_BUSY)
        self.writer.close()

    def abort(self) -> None:
        """Close it now; what the kernel has not taken is lost."""
        self._flush()
        self.writer.transport.abort()

    async def run(self) -> None:
        """Serve until either side has closed."""
        socket = self.writer.get_extra_info("socket")
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            async with _Applications(self.loop) as tasks:
                self._task_group = tasks
                self._http = Http1(
                    self.app,
                    self.config,
                    self.context,
                    tasks,
                    ConnectionState(self.state),
                    False,
                    client,
                    server,
                    self.protocol_send,
                )
                self._wait_for_client()
                await self._read_data()
        except OSError:
            pass  # the client is gone
        except BaseExceptionGroup as errors:
            if not isinstance(fatal_error(errors), StoreBroken):
                raise
            # The process ends by it, and says so; there is nobody here to be told.
        finally:
            self._client_came()  # a request that ended after the reading has set it once more
            await self._close()
            self._http = None  # it holds us: only the collector would free either

    async def protocol_send(self, event: Event) -> None:
        """Send bytes, close, or note that a request has begun or ended."""
        if isinstance(event, RawData):
            await self._send(event.data)
        elif isinstance(event, Closed):
            await self._begin_end()
        elif isinstance(event, Updated) and event.idle:
            self._wait_for_client()
            self._used(self)
        else:
            self._client_came()

    def end_if_idle(self) -> None:
        """Close it, if it waits for its client's next request."""
        if self._idle is not None:
            self._client_came()
            self._task_group.spawn(self._initiate_server_close)

    def _wait_for_client(self) -> None:
        """Wait for a request, but not for ever, and not while the server stops.

        A timer, because Hypercorn's own way (two tasks, begun and cancelled for each request) is a
        tenth of what a request costs.
        """
        self._client_came()
        wait_s = 0.0 if self.context.terminated.is_set() else self.config.keep_alive_timeout
        self._idle = self.loop.call_later(wait_s, self.end_if_idle)

    def _client_came(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    async def _send(self, data: bytes) -> None:
        transport = self.writer.transport
        async with self.send_lock:
            if self._end is not None or transport.is_closing():
                await asyncio.sleep(0)  # whoever sends on and on must hear that nobody listens
                await self._protocol.handle(Closed())
                return
            self._join(data)
            if transport.is_closing() or not transport.get_write_buffer_size():
                return
            stalled = self.loop.call_later(STALL_S, transport.abort)
            try:
                await self.writer.drain()
            except OSError:
                await self._protocol.handle(Closed())
            finally:
                stalled.cancel()

    def _join(self, data: bytes) -> None:
        if not self._joined:
            self.loop.call_soon(self._flush)
        self._joined.append(data)
        if sum(map(len, self._joined)) >= BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        data, self._joined = b"".join(self._joined), []
        if data and not self.writer.transport.is_closing():
            self.writer.write(data)

    @property
    def _protocol(self) -> Http1:
        assert self._http is not None, "it runs"
        return self._http

    async def _read_data(self) -> None:
        heard_out = 0
        while not self.reader.at_eof() and heard_out <= LINGER_BYTES_MAX:
            try:
                data = await self.reader.read(BUFFER_BYTES)
            except OSError:
                break
            if self._end is None:
                await self._protocol.handle(RawData(data))
            else:
                heard_out += len(data)
        await self._protocol.handle(Closed())

    async def _initiate_server_close(self) -> None:
        await self._protocol.handle(Closed())
        await self._begin_end()

    async def _begin_end(self) -> None:
        """Send what is still to be sent, then close; in a bounded time, whatever the client does.

        A socket closed with bytes unread resets the connection, and the client loses our answer.
        """
        if self._end is not None:
            return
        self._end = self.loop.call_later(LINGER_S, self.abort)
        await self._protocol.finish()
        self._flush()
        if not self._protocol.was_cut_short:
            self.writer.close()
            return
        if self.writer.transport.is_closing():
            return
        try:
            self.writer.write_eof()
        except OSError:
            self.abort()

    async def _close(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(LINGER_S, self.abort)
        self._flush()
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError as error:  # the client was faster
            error.with_traceback(None)  # the reader keeps the error, whose frames would keep us
        self._end.cancel()  # not if we are cancelled: then the timer is all that still ends it
