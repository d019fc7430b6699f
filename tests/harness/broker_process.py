"""A process that is nothing but the embedded broker, made to be killed.

Prints its port once it serves: ``python -m tests.harness.broker_process FOLDER``.
"""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from runtime.broker import journal
from runtime.broker.server import BrokerServer
from runtime.child import ChildContext
from runtime.database import open_database
from runtime.host import production_host
from runtime.telemetry import quiet_telemetry

PROJECT = Path(__file__).parents[2]


async def serve(folder: Path) -> None:
    """Serve until killed."""
    host = production_host(folder)
    async with open_database(host.disk, "broker.db", journal.MIGRATIONS) as database:
        server = BrokerServer(
            host,
            database,
            bind="127.0.0.1",
            port=0,
            users={"guest": "guest"},
            telemetry=quiet_telemetry(),
        )

        def started() -> None:
            sys.stdout.write(f"{server.port}\n")
            sys.stdout.flush()

        await server.run(ChildContext("broker", started))


class BrokerProcess:
    """The process, from ``with`` to a SIGKILL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.harness.broker_process", str(self._folder)]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: nothing is said, flushed or closed."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


if __name__ == "__main__":
    anyio.run(serve, Path(sys.argv[1]))
