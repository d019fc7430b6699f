"""The process under attack: ``ordermill up``, watched from outside."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from actors.credentials import Credentials
from actors.domain.order_events import Service
from actors.services import SERVICES, ServiceName
from bench.ports import free_port
from runtime.setting import Secret
from tests.harness.command import MAIN, environment
from tests.harness.waiting import until

KEYS = {"gateway": "http", "order-events": "order_events"}
SETTINGS = ("payment.hold_s=0", "shipping.hold_s=0", "log.format=json", "retry.tiers_s=[1]")
START_S_MAX = 60.0
STOP_S_MAX = 30.0


class Target:
    """One process with everything in it; its output goes into a file, so that nothing holds it up.

    ``ports`` are where its services listen. Its rate limit is the default one. In the folder of one
    that has ended it goes on with the same data.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self.ports: dict[ServiceName, int] = {name: free_port() for name in SERVICES}
        self._data = folder / "data"
        self._output = folder / "output.log"
        ports = [f"{KEYS.get(name, name)}.port={port}" for name, port in self.ports.items()]
        chosen = [f"data_dir={self._data}", *ports, *SETTINGS, *settings]
        options = [part for setting in chosen for part in ("--set", setting)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*MAIN, *options, "up"], cwd=folder, env=environment(), stdout=output, stderr=output
            )

    async def ready(self) -> None:
        """Return once it serves."""
        await until(lambda: "ready in" in self.log() or not self.alive, START_S_MAX)
        assert self.alive, self.log()

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def operator_token(self) -> str:
        """The operator's token."""
        return (self._data / "secrets" / "operator-token").read_text().strip()

    def service_token(self, service: Service) -> str:
        """By which token order-events knows a service."""
        return self._credentials().of_service(service)

    def shipping_token(self) -> str:
        """By which token shipping knows the gateway."""
        return self._credentials().at_shipping()

    def _credentials(self) -> Credentials:
        root = (self._data / "secrets" / "service-secret").read_text().strip()
        nothing = Secret("")
        return Credentials(nothing, nothing, nothing, Secret(root), nothing)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def log(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    def complaints(self) -> list[str]:
        """Lines of the log that are no ordinary news: warnings, errors, tracebacks."""
        return [line for line in self.log().splitlines() if not _is_news(line)]

    def resident_mib(self) -> float:
        """How much memory it holds (proc(5), VmRSS)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def open_files(self) -> int:
        """How many files and sockets it holds open."""
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    async def stop(self) -> int:
        """Ask it to end (SIGTERM), and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        await until(lambda: not self.alive, STOP_S_MAX)
        return self._process.wait()

    def close(self) -> None:
        """Kill it if it still runs."""
        if self.alive:
            self._process.kill()
        self._process.wait()


@contextmanager
def target(folder: Path, *settings: str) -> Iterator[Target]:
    """Run a target until the block ends."""
    running = Target(folder, *settings)
    try:
        yield running
    finally:
        running.close()


def _is_news(line: str) -> bool:
    """A log line of level info, or one of those that `up` prints for people."""
    if not line.startswith("{"):
        return "Traceback" not in line and not line.startswith((" File", "Exception", "error"))
    return bool(msgspec.json.decode(line)["level"] == "info")
