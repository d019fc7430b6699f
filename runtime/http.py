"""Hypercorn as a supervised child: it listens in our event loop, and it stops when told, soon.

What Hypercorn 0.18 does on its own, and what is done about it here: it installs signal handlers
(so it gets a trigger instead); on Python >= 3.12.1 it waits for ever for connections that still
stream (hypercorn issue 308), so streams are told to end first and requests that outlast their grace
are cancelled by us; it writes the decoded path, hence forgeable lines, to its access log (so that
stays off); it tells its name and version to strangers (so it keeps quiet).
"""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from socket import socket
from traceback import walk_tb
from typing import cast

from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config, Sockets
from hypercorn.typing import ASGIFramework
from hypercorn.utils import wrap_app

from runtime.child import ChildContext
from runtime.endings import was_meant
from runtime.errors import EnvironmentUnready

HEAD_BYTES_MAX = 16 * 1024

Scope = MutableMapping[str, object]
Event = MutableMapping[str, object]
App = Callable[
    [Scope, Callable[[], Awaitable[Event]], Callable[[Event], Awaitable[None]]], Awaitable[None]
]


class HttpServer:
    """Serves the ASGI application ``app`` on ``bind:port``; `run` is a child's.

    Port 0 takes a free port, the same one again after a restart. ``stop_streams`` is called when
    the server is told to stop: it must make open streams end. Requests then have ``grace_s`` to
    finish (give the child more than that); what is left is cancelled. ``setting`` names the port's
    setting in errors.
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
    ) -> None:
        self._app = app
        self._bind = bind
        self._stop_streams = stop_streams
        self._grace_s = grace_s
        self._setting = setting
        self._requests: dict[asyncio.Task[object], None] = {}
        self.port = port

    async def run(self, context: ChildContext) -> None:
        """Serve until told to stop; raises `EnvironmentUnready` when it cannot listen."""
        config = self._config()
        sockets = self._listen(config)
        self.port = sockets.insecure_sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        deadline: asyncio.TimerHandle | None = None

        async def until_told() -> None:
            nonlocal deadline
            context.started()
            await context.stopping.wait()
            if self._stop_streams is not None:
                self._stop_streams()
            deadline = loop.call_later(self._grace_s, self._cancel_requests)

        app = wrap_app(cast("ASGIFramework", self._track), 0, "asgi")
        try:
            await worker_serve(app, config, sockets=sockets, shutdown_trigger=until_told)
        except asyncio.CancelledError:
            # An application that outlives its lifespan's end is cancelled, and Hypercorn lets that
            # out; when we are told to stop, it is no news.
            if was_meant() or not context.stopping.is_set():
                raise
        finally:
            self._cancel_requests()
            if deadline is not None:
                deadline.cancel()

    def _config(self) -> Config:
        config = Config()
        host = f"[{self._bind}]" if ":" in self._bind else self._bind
        config.bind = [f"{host}:{self.port}"]
        config.accesslog = None
        config.errorlog = logging.getLogger("hypercorn.error")
        config.include_date_header = False
        config.include_server_header = False
        config.h11_max_incomplete_size = HEAD_BYTES_MAX
        # Ours comes first; Hypercorn's is the second line of defence.
        config.graceful_timeout = self._grace_s + 1.0
        return config

    def _listen(self, config: Config) -> Sockets:
        try:
            return config.create_sockets()
        except OSError as error:
            _close_unbound(error)
            reason = error.strerror or str(error)
            hint = f"choose another address or port ({self._setting})"
            if error.errno == errno.EADDRINUSE:
                hint = f"stop what listens there, or choose another port ({self._setting})"
            raise EnvironmentUnready(
                f"{self._setting}: cannot listen on {self._bind}:{self.port}: {reason}", hint=hint
            ) from error

    async def _track(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        self._requests[task] = None
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests.pop(task, None)

    def _cancel_requests(self) -> None:
        for task in list(self._requests):
            task.cancel()


def _close_unbound(error: OSError) -> None:
    """Close the socket that Hypercorn could not bind: it keeps it in a local variable, open."""
    for frame, _ in walk_tb(error.__traceback__):
        unbound = frame.f_locals.get("sock")
        if isinstance(unbound, socket):
            unbound.close()
