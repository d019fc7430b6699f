"""The embedded broker on a port of its own, in a thread, for clients that block."""

import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
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
from tests.runtime.broker.conformance.targets import Listening

START_S_MAX = 30.0


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
        self._stop = anyio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work)
        self.port = 0

    @property
    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/"

    def target(self, vhost: str = "/") -> Listening:
        """A target for the conformance player."""
        return Listening(self.host, self.port, vhost, self.user, self.password)

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
        if self._token is not None and self._failure is None:
            anyio.from_thread.run_sync(self._stop.set, token=self._token)
        self._thread.join()
        if self._temporary is not None:
            self._temporary.cleanup()

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
            server = BrokerServer(
                host,
                database,
                bind=self.host,
                port=0,
                users={self.user: self.password},
                telemetry=quiet_telemetry(),
                vhosts=self._vhosts,
            )

            def started() -> None:
                self.port = server.port
                self._ready.set()

            context = ChildContext("broker", started)
            self._stop = context.stopping
            await server.run(context)
