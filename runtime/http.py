"""Hypercorn as a supervised child: it listens in our event loop, and it stops when told, soon.

Of Hypercorn 0.18 its connections (as ``http_connection`` changes them) and its lifespan are used,
not its worker. That one installs signal handlers, knows no limit of connections - the files that
it opens until none is left are those that databases and mails need, too - and on Python >= 3.12.1
waits for ever for connections that still stream (hypercorn issue 308). Here streams are told to end
first, requests that outlast their grace are answered 503 by us, and what then is left is cut. What
else is turned off: the access log, to which the decoded path, hence forgeable lines, would be
written, and the header that tells its name and version to strangers.
"""

import asyncio
import errno
import logging
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET, socket
from traceback import walk_tb
from typing import cast

import anyio
from hypercorn.asyncio.lifespan import Lifespan
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, ASGIFramework
from hypercorn.utils import wrap_app

from runtime.child import ChildContext
from runtime.errors import EnvironmentUnready
from runtime.http_connection import BUFFER_BYTES, Connection
from runtime.http_heads import HEAD_BYTES_MAX

CONNECTIONS_MAX = 1000
_SOCKET_BYTES = 32 * 1024  # of each direction in the kernel, which doubles it
_CUT_S = 1.0
_CONNECTIONS_LEAST = 16

Scope = MutableMapping[str, object]
Event = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class HttpServer:
    """Serves the ASGI application ``app`` on ``bind:port``; `run` is a child's.

    Port 0 takes a free port, the same one again after a restart. ``stop_streams`` is called when
    the server is told to stop: it must make open streams end. Requests then have ``grace_s`` to
    finish (give the child more than that); what is left is answered 503. ``setting`` names the
    port's setting in errors.

    Of more than ``connections_max`` connections, the one that has waited longest for its client is
    closed for the new one: many that only dribble keep nobody out. If none waits, the new one is
    answered 503. There are fewer where the process may not open that many files.
    """

    def __init__(
        self,
        app: App,
        bind: str,
        port: int,
        *,
        stop_streams: Callable[[], None] | None = None,
        grace_s: float = 3.0,
        setting: str = "http.port",
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self._app = app
        self._bind = bind
        self._stop_streams = stop_streams
        self._grace_s = grace_s
        self._setting = setting
        self._connections_max = connections_max
        self._open: dict[Connection, None] = {}  # the longest unused first
        self._all_closed = anyio.Event()
        self._requests: dict[asyncio.Task[object], _Request] = {}
        self.port = port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def run(self, context: ChildContext) -> None:
        """Serve until told to stop; raises `EnvironmentUnready` when it cannot listen."""
        config = self._config()
        (listening,) = self._listen(config)
        self.port = listening.getsockname()[1]
        app = wrap_app(cast("ASGIFramework", self._track), 0, "asgi")
        worker = WorkerContext(None)
        async with _lifespan(app, config):
            accept = self._acceptor(app, config, worker)
            server = await asyncio.start_server(
                accept, sock=listening, backlog=config.backlog, limit=BUFFER_BYTES
            )
            try:
                context.started()
                await context.stopping.wait()
                server.close()
                await worker.terminated.set()
                for connection in list(self._open):
                    connection.end_if_idle()
                await self._drain()
            finally:
                server.close()
                with anyio.CancelScope(shield=True):
                    await self._cut()

    async def _drain(self) -> None:
        """Let requests end; after their grace, answer for them."""
        if self._stop_streams is not None:
            self._stop_streams()
        if not await self._closed_within(self._grace_s):
            self._cancel_requests()
            await self._closed_within(_CUT_S)

    async def _cut(self) -> None:
        self._cancel_requests()
        for connection in list(self._open):
            connection.abort()
        await self._closed_within(_CUT_S)

    async def _closed_within(self, seconds: float) -> bool:
        """Whether the last connection was closed in that time."""
        with anyio.move_on_after(seconds):
            while self._open:
                self._all_closed = anyio.Event()
                await self._all_closed.wait()
        return not self._open

    def _acceptor(
        self, app: AppWrapper, config: Config, worker: WorkerContext
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        room = min(self._connections_max, _room_for_files(config.backlog))

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = Connection(app, config, worker, reader, writer, self._used)
            if worker.terminated.is_set():
                connection.abort()  # it was accepted just before we stopped listening
                return
            if len(self._open) >= room and not self._make_room():
                connection.refuse()
                return
            self._open[connection] = None
            try:
                await connection.run()
            except asyncio.CancelledError:
                # The task is at its end, and nobody waits for it. asyncio's own callback, before
                # Python 3.12, logs one that ends as cancelled as an error.
                return
            finally:
                self._forget(connection)

        return accept

    def _make_room(self) -> bool:
        for connection in self._open:
            if connection.waits_for_client:
                connection.abort()
                self._forget(connection)
                return True
        return False

    def _used(self, connection: Connection) -> None:
        if self._open.pop(connection, self) is None:
            self._open[connection] = None

    def _forget(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        if not self._open:
            self._all_closed.set()

    def _config(self) -> Config:
        config = Config()
        host = f"[{self._bind}]" if ":" in self._bind else self._bind
        config.bind = [f"{host}:{self.port}"]
        config.accesslog = None
        config.errorlog = logging.getLogger("hypercorn.error")
        config.include_date_header = False
        config.include_server_header = False
        config.h11_max_incomplete_size = HEAD_BYTES_MAX
        config.max_app_queue_size = 4
        return config

    def _listen(self, config: Config) -> list[socket]:
        try:
            listening = config.create_sockets().insecure_sockets
            for each in listening:
                each.setsockopt(SOL_SOCKET, SO_RCVBUF, _SOCKET_BYTES)
                each.setsockopt(SOL_SOCKET, SO_SNDBUF, _SOCKET_BYTES)
            return listening
        except OSError as error:
            _close_unbound(error)
            reason = error.strerror or str(error)
            hint = f"choose another address or port ({self._setting})"
            if error.errno == errno.EADDRINUSE:
                hint = f"stop what listens there, or choose another port ({self._setting})"
            raise EnvironmentUnready(
                f"{self._setting}: cannot listen on {self._bind}:{self.port}: {reason}", hint=hint
            ) from error

    async def _track(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        request = self._requests[task] = _Request(send)
        try:
            await self._app(scope, receive, request.send)
            # Quart returns without a word where its own task was cancelled.
            await request.answer_for_it("The request was cut off")
        except asyncio.CancelledError:
            if not request.cut_off:
                request.cut_off = True
                await request.answer_for_it("The request was cut off")
                raise
            await request.answer_for_it("The server is stopping")
        finally:
            self._requests.pop(task, None)

    def _cancel_requests(self) -> None:
        for task, request in list(self._requests.items()):
            request.cut_off = True
            task.cancel()


class _Request:
    """A request in work. ``cut_off``: it was cancelled, mostly by us, because the server stops."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False
        self.cut_off = False

    async def send(self, event: Event) -> None:
        """Pass on what the application says. Parts of it may still speak after it was cancelled."""
        if not self.cut_off:
            self._started = True
            await self._send(event)

    async def answer_for_it(self, title: str) -> None:
        """Say 503 where nothing was said yet: Hypercorn's 500 would call the end a bug.

        What was asked for may be carried out all the same, as with every 503.
        """
        if self._started:
            return
        body = f'{{"type":"about:blank","title":"{title}","status":503}}'.encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", b"1"),
        ]
        await self._send({"type": "http.response.start", "status": 503, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


@asynccontextmanager
async def _lifespan(app: AppWrapper, config: Config) -> AsyncIterator[None]:
    """Tell the application that it starts, and in the end that it stops."""
    loop = asyncio.get_running_loop()
    lifespan = Lifespan(app, config, loop, {})
    task = loop.create_task(lifespan.handle_lifespan())
    try:
        await lifespan.wait_for_startup()
        if task.done():
            task.result()
        yield
        await lifespan.wait_for_shutdown()
    finally:
        task.cancel()
        await asyncio.wait({task})


def _room_for_files(backlog: int) -> int:
    """How many connections leave files for everything else; ``backlog`` are accepted in one go."""
    files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_CONNECTIONS_LEAST, files_max // 2 - backlog)


def _close_unbound(error: OSError) -> None:
    """Close the socket that Hypercorn could not bind: it keeps it in a local variable, open."""
    for frame, _ in walk_tb(error.__traceback__):
        unbound = frame.f_locals.get("sock")
        if isinstance(unbound, socket):
            unbound.close()
