"""The services as processes of their own, and what their customers see of them."""

from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import anyio.to_thread
import httpx

from actors.batching import BatchingClient
from actors.credentials import Credentials
from actors.domain.order_events import Service
from actors.messaging import EMBEDDED
from actors.order_events.http_client import HttpOrderEvents
from actors.service_client import ServiceClient
from actors.services import SERVICES
from bench.ports import free_port
from runtime.setting import Secret
from tests.harness.command import Serving, run
from tests.harness.plain_client import plain_client
from tests.harness.system import LiveSystem

BROKER = "broker"
KEYS = {"gateway": "http", "order-events": "order_events"}


class Apart:
    """Processes that share ``folder``, on the broker at ``broker_url`` or on one of their own.

    ``settings`` are ``key=value`` texts that all of them get, ``own`` those of one service.
    """

    def __init__(self, folder: Path, broker_url: str, *settings: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.ports = {name: free_port() for name in (*SERVICES, BROKER)}
        self.own: dict[str, list[str]] = {}
        self._processes: dict[str, Serving] = {}
        self._brings_broker = broker_url == EMBEDDED
        if self._brings_broker:
            broker_url = f"amqp://guest:guest@127.0.0.1:{self.ports[BROKER]}/"
        places = [f"{KEYS.get(name, name)}.port={self.ports[name]}" for name in SERVICES]
        self._settings = [*places, f"broker.url={broker_url}", *settings]

    def start(self, *names: str) -> None:
        """Start these processes (all if none is named), and wait until each is ready."""
        names = names or (*[BROKER] * self._brings_broker, *SERVICES)
        for name in names:
            chosen = [*self._settings, *self.own.get(name, [])]
            options = [part for setting in chosen for part in ("--set", setting)]
            command = ["serve", name]
            if name == BROKER:
                command = [BROKER, "--port", str(self.ports[BROKER])]
            if name in self._processes:
                self.kill(name)
            self._processes[name] = Serving(["-q", *options, *command], self.folder)
        for name in names:
            self._processes[name].wait_for("ready")

    def operate(self, *arguments: str) -> CompletedProcess[str]:
        """Run an operator's command to its end."""
        options = [part for setting in self._settings for part in ("--set", setting)]
        return run(*options, *arguments, cwd=self.folder)

    def process(self, name: str) -> Serving:
        """Return the process of this service."""
        return self._processes[name]

    def kill(self, name: str) -> None:
        """SIGKILL: nothing is said, flushed or closed."""
        self._processes.pop(name).close()

    def close(self) -> None:
        """Kill whatever still runs, the broker last."""
        for name in reversed(list(self._processes)):
            self.kill(name)

    def url(self, name: str) -> str:
        """Return where this service listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def token(self, service: Service) -> str:
        """Return the token by which this service is known to order-events."""
        return self._credentials().of_service(service)

    def own_tokens(self, service: Service) -> list[str]:
        """Return the settings of a process that is to have no tokens but this service's."""
        tokens = [f"security.service_token={self.token(service)}"]
        if service in ("gateway", "shipping"):
            tokens.append(f"security.shipping_token={self._credentials().at_shipping()}")
        if service in ("gateway", "notification"):
            shared = self._credentials().at_notification()
            tokens.append(f"security.notification_token={shared}")
        return tokens

    def _credentials(self) -> Credentials:
        kept = (self.data_dir / "secrets" / "service-secret").read_text()
        none = Secret("")
        return Credentials(none, none, none, Secret(kept), none)


class ApartSystem(LiveSystem):
    """What a customer and an operator see of services that run apart."""

    def __init__(self, apart: Apart, gateway: httpx.AsyncClient, store: ServiceClient) -> None:
        self.apart = apart
        self.client = gateway
        self.store = store
        self._orders = self.as_service("gateway")
        self._operator = (apart.data_dir / "secrets" / "operator-token").read_text()

    def as_service(self, service: Service) -> HttpOrderEvents:
        """Return order-events as this service reaches it."""
        return HttpOrderEvents(BatchingClient(self.store), self.apart.token(service))

    @property
    def mail_folder(self) -> Path:
        """Where the customers' mails are."""
        return self.apart.data_dir / "mail" / "new"

    async def start(self, *names: str) -> None:
        """Start processes again."""
        await anyio.to_thread.run_sync(self.apart.start, *names)

    async def checks(self, name: str) -> tuple[int, dict[str, str]]:
        """Return what a service says of its readiness."""
        async with plain_client(timeout=20) as client:
            answer = await client.get(f"{self.apart.url(name)}/readyz")
        return answer.status_code, answer.json()["checks"]


def subjects(system: ApartSystem, number: int) -> Sequence[str]:
    """Return the subjects of the mails about the order with this number, sorted."""
    about = [str(mail["Subject"]) for mail in system.mails()]
    return sorted(text for text in about if str(number) in text)
