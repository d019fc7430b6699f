"""The embedded broker on a port of its own, in a thread, for clients that block."""

import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_stack
from types import TracebackType
from typing import Self

import anyio
import anyio.from_thread
from anyio.lowlevel import EventLoopToken, current_token

from runtime.broker import journal
from runtime.broker.server import BrokerServer
from runtime.child import ChildContext
from runtime.database import open_database
from runtime.host import production_host
from runtime.telemetry import quiet_telemetry
from tests.runtime.broker.conformance.targets import Clients, Listening, operate

START_S_MAX = STOP_S_MAX = STILL_S_MAX = 30.0
POLL_S = 0.0005


class EmbeddedServer:
    """Runs from ``with`` to its end, with a journal in a temporary folder (or the one given)."""

    host = "127.0.0.1"
    user = "guest"
    password = "guest"

    def __init__(self, *, vhosts: Sequence[str] = ("/",), folder: Path | None = None) -> None:
        self._vhosts = vhosts
        self._temporary = TemporaryDirectory() if folder is None else None
        self._folder = Path(self._temporary.name) if self._temporary else folder
        self._ready = threading.Event()
        self._token: EventLoopToken | None = None
        self._context = ChildContext("broker", self._started)
        self._failure: BaseException | None = None
        # A daemon, like the threads that it starts: if it hangs, the run still comes to its end.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.port = 0
        self._vhosts_made = 0

    @property
    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/"

    def target(self, vhost: str = "/") -> Listening:
        """A target for the conformance player."""
        address, login = (self.host, self.port), (self.user, self.password)
        return Listening(address, vhost, login, self.await_stillness, self.operate)

    def fresh_target(self) -> Listening:
        """A target in a virtual host that nobody has used."""
        self._vhosts_made += 1
        name = f"fresh{self._vhosts_made}"
        running = self._server._running
        assert running is not None
        anyio.from_thread.run_sync(running.broker.vhost, name, token=self._token)
        return self.target(name)

    def operate(self, deed: str, vhost: str, client_port: int, argument: str) -> None:
        """Do what an operator does, in the broker's own thread."""
        work = partial(self._operate, deed, vhost, client_port, argument)
        anyio.from_thread.run_sync(work, token=self._token)

    def await_stillness(self, clients: Clients) -> None:
        """Wait until all that these clients have sent is done, answered and on disk."""
        anyio.from_thread.run(self._await_stillness, dict(clients), token=self._token)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_S_MAX) or self._failure is not None:
            self.__exit__(None, None, None)
            raise RuntimeError("the embedded broker did not start") from self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        threading.Thread(target=self._stop, daemon=True).start()
        self._thread.join(STOP_S_MAX)
        stuck = sys._current_frames().get(self._thread.ident or 0)
        if self._temporary is not None:
            self._temporary.cleanup()
        if stuck is not None:
            raise RuntimeError("the embedded broker hangs\n" + "".join(format_stack(stuck)))

    def _stop(self) -> None:
        """Tell the server; a loop that is stuck never listens, so nobody may wait for this."""
        if self._token is None:
            self._context.stopping.set()
            return
        with suppress(anyio.RunFinishedError):
            anyio.from_thread.run_sync(self._context.stopping.set, token=self._token)

    def _work(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as failure:
            self._failure = failure
            self._ready.set()

    async def _serve(self) -> None:
        assert self._folder is not None
        self._token = current_token()
        host = production_host(self._folder)
        async with open_database(host.disk, "broker.db", journal.MIGRATIONS) as database:
            self._server = BrokerServer(
                host,
                database,
                bind=self.host,
                port=0,
                users={self.user: self.password},
                telemetry=quiet_telemetry(),
                vhosts=self._vhosts,
            )
            await self._server.run(self._context)

    def _operate(self, deed: str, vhost: str, client_port: int, argument: str) -> None:
        operator, running = self._server.operator(), self._server._running
        assert running is not None
        if not client_port:
            operate(operator, deed, argument, vhost)
            return
        for connection, transport in list(running._transports.items()):
            if transport.get_extra_info("peername")[1] == client_port:
                operator.close_connection(connection, argument)

    async def _await_stillness(self, expected: Mapping[int, int]) -> None:
        with anyio.fail_after(STILL_S_MAX):
            while not self._is_still(expected):  # noqa: ASYNC110  # nobody tells
                await anyio.sleep(POLL_S)

    def _is_still(self, expected: Mapping[int, int]) -> bool:
        running = self._server._running
        assert running is not None
        unread = [
            connection
            for connection, transport in running._transports.items()
            if connection.received_bytes < expected.get(transport.get_extra_info("peername")[1], 0)
        ]
        recorder = running.broker.recorder
        busy = running._flush_scheduled or recorder.waiting or recorder.mark > recorder.committed
        return not unread and not busy

    def _started(self) -> None:
        self.port = self._server.port
        self._ready.set()
