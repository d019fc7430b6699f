"""The processes of a campaign, one row each: how it is started, killed, and judged to be at work.

A row's ``watches`` are places in the files that change while the target works: a share of the kills
waits for such a change. ``unfinished`` says, from the files right after a kill, what the dead
process had begun and not finished.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bench.ports import free_port
from sim.judges.evidence import reading
from tests.chaos.post_office import FILE as POST_OFFICE
from tests.harness.command import environment
from tests.harness.rabbitmq import RabbitMQ

READY_S_MAX = 90.0
STOP_S_MAX = 60.0
_MAIN = (sys.executable, "-c", "from actors.cli import main; main()")

Watch = tuple[str, str]
"""A file, and a query whose single value changes when something happens."""


def _event(kind: str) -> Watch:
    return "orders.db", f"SELECT max(position) FROM events WHERE type = '{kind}'"


def _begun(service: str) -> Watch:
    return f"{service}.db", (
        "SELECT count(*) FROM inbox WHERE state = 'claimed'"
        " OR (state = 'held' AND incarnation <> '')"
    )


OUTBOX: Watch = ("orders.db", "SELECT max(position) FROM outbox")
PROVIDER: Watch = ("sandbox-provider.db", "SELECT max(sequence) FROM requests")
PARCEL: Watch = ("carrier.db", "SELECT max(sequence) FROM parcels")
MAIL: Watch = ("notification.db", "SELECT count(*) FROM mails")
# Over SMTP: the mail has arrived, and its sender does not know yet.
ARRIVED: Watch = (POST_OFFICE, "SELECT count(*) FROM copies")
ORDER_EVENTS = (_event("order-created"), _event("order-cancelled"), OUTBOX)
PAYMENT = (
    _event("payment-auth-in-progress"),
    _event("payment-captured"),
    _event("payment-refund-in-progress"),
    PROVIDER,
    _begun("payment"),
)
SHIPPING = (_event("shipping-preparation-in-progress"), PARCEL, _begun("shipping"))
NOTIFICATION = (MAIL, _event("shipped"), _begun("notification"))


class Scene(msgspec.Struct, frozen=True):
    """What a kill has left: the files' folder, when the dead process began, requests cut off."""

    folder: Path
    since_ms: int
    in_flight: int


Unfinished = Callable[[Scene], int]


def claims(*services: str) -> Unfinished:
    """Count the messages that the services' dead incarnations had begun."""

    def count(scene: Scene) -> int:
        return sum(
            _number(
                scene.folder / f"{service}.db",
                "SELECT count(*) FROM inbox WHERE updated_at_ms >= ?"
                " AND (state = 'claimed' OR (state = 'held' AND incarnation <> ''))",
                scene.since_ms,
            )
            for service in services
        )

    return count


def unpublished(scene: Scene) -> int:
    """Count the messages that the broker has not confirmed."""
    return _number(scene.folder / "orders.db", "SELECT count(*) FROM outbox")


def requests(scene: Scene) -> int:
    """Count the clients that were waiting for an answer."""
    return scene.in_flight


def either(*counts: Unfinished) -> Unfinished:
    """Add up several counts."""
    return lambda scene: sum(count(scene) for count in counts)


def _number(path: Path, query: str, *values: object) -> int:
    if not path.exists():
        return 0
    with reading(path) as database:
        (number,) = database.execute(query, values).fetchone()
        return int(number)


class Running(Protocol):
    """A process that can be killed and comes back."""

    began_ms: int

    def start(self) -> None:
        """Start it; returns at once, or once it serves."""

    def wait_ready(self) -> None:
        """Return once it serves."""

    def kill(self) -> None:
        """Kill it: SIGKILL."""

    def died(self) -> str | None:
        """Say how it has ended without having been killed; None if it runs."""


class Process:
    """An ``ordermill`` command, with its output in a file."""

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, variables: Mapping[str, str]
    ) -> None:
        self.name = name
        self.began_ms = 0
        self._arguments = (*_MAIN, *arguments)
        self._folder = folder
        self._output = folder / f"{name}.out"
        self._environment = environment(**variables)
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    def start(self) -> None:
        """Start it; returns at once."""
        self.began_ms = int(time.time() * 1000)
        with self._output.open("ab") as sink:
            self._read_from = sink.tell()
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        """Return once it has said that it is ready."""
        self.line(lambda line: line.startswith("ready"))

    def line(self, wanted: Callable[[str], bool]) -> str:
        """Return the first whole line of this incarnation that is wanted; wait for it."""
        limit = time.monotonic() + READY_S_MAX
        while True:
            lines = self.said().split("\n")[:-1]
            found = next(filter(wanted, lines), None)
            if found is not None:
                return found
            if self.died() or time.monotonic() > limit:
                raise AssertionError(f"{self.name} is not ready:\n{self.said()[-4000:]}")
            time.sleep(0.01)

    def said(self) -> str:
        """Return what this incarnation has printed."""
        with self._output.open("rb") as output:
            output.seek(self._read_from)
            return output.read().decode(errors="replace")

    def kill(self) -> None:
        """SIGKILL: nothing is said, flushed or closed."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def died(self) -> str | None:
        """Say how it has ended; None while it runs."""
        assert self._process is not None
        code = self._process.poll()
        return None if code is None else f"{self.name} ended by itself with exit code {code}"

    def stop(self) -> int:
        """Ask it to finish, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Node:
    """A RabbitMQ node of our own."""

    def __init__(self, node: RabbitMQ) -> None:
        self._node = node
        self.began_ms = 0

    def start(self) -> None:
        """Start it again, and return once it takes a login."""
        self.began_ms = int(time.time() * 1000)
        self._node.start()

    def wait_ready(self) -> None:
        """It is: see `start`."""

    def kill(self) -> None:
        """SIGKILL to the Erlang VM."""
        self._node.kill()

    def died(self) -> str | None:
        """Say whether it has ended."""
        try:
            os.kill(self._node.pid, 0)
        except ProcessLookupError:
            return "the RabbitMQ node ended by itself"
        return None


class Row(msgspec.Struct, frozen=True):
    """A target. ``every``: in which rounds it is killed; each round kills every target once."""

    name: str
    process: Running
    watches: tuple[Watch, ...]
    unfinished: Unfinished
    every: int = 1
    sends_mail: bool = False


class Cast(msgspec.Struct, frozen=True):
    """All the processes, in the order they start, and where clients find them.

    ``broker_url`` is a function: the broker inside ``up`` has another port after each start.
    """

    rows: tuple[Row, ...]
    url: str
    broker_url: Callable[[], str]


TIERS_S = (1,)
_SERVICES = ("payment", "shipping", "notification")
_QUICK = (
    "payment.hold_s=0.3",
    "payment.sweep_s=0.5",
    "shipping.hold_s=0.8",
    "api.rate_per_min=0",
    "broker.reconnect_s_max=0.5",
    "log.level=warning",
    "log.format=json",
    f"retry.tiers_s={list(TIERS_S)}",
    # A broker that is down for long must not make anybody give up: that is not what is tried here.
    "retry.attempts_max=100",
)


def _general(ports: Mapping[str, int]) -> list[str]:
    chosen = [f"{name}.port={port}" for name, port in ports.items()]
    return [part for setting in (*chosen, *_QUICK) for part in ("--set", setting)]


def _ports() -> dict[str, int]:
    names = ("http", "order_events", "payment", "shipping", "notification")
    return {name: free_port() for name in names}


def together(folder: Path, node: RabbitMQ | None, mail_url: str = "") -> Cast:
    """``ordermill up``: one process; and the RabbitMQ node, where there is one."""
    ports = _ports()
    url = "" if node is None else f"{node.url}{node.vhost()}"
    variables = _variables(url, mail_url)
    everything = (*ORDER_EVENTS, *PAYMENT, *SHIPPING, *_notification(mail_url))
    at_work = either(claims(*_SERVICES), unpublished, requests)
    system = Process("up", [*_general(ports), "up", "--data-dir", "."], folder, variables)

    def embedded() -> str:
        line = system.line(lambda line: "amqp://" in line)
        port = line.rpartition(":")[2].strip("/ ")
        password = (folder / "secrets" / "broker-password").read_text().strip()
        return f"amqp://ordermill:{password}@127.0.0.1:{port}/"

    rows = [Row("up", system, everything, at_work, sends_mail=True)]
    if node is not None:
        rows.insert(0, _rabbitmq(node))
    broker_url = embedded if node is None else lambda: url
    return Cast(tuple(rows), f"http://127.0.0.1:{ports['http']}", broker_url)


def _variables(broker_url: str, mail_url: str) -> dict[str, str]:
    chosen = {"ORDERMILL_BROKER_URL": broker_url, "ORDERMILL_MAIL_TRANSPORT": mail_url}
    return {name: value for name, value in chosen.items() if value}


def _notification(mail_url: str) -> tuple[Watch, ...]:
    return (*NOTIFICATION, ARRIVED, ARRIVED) if mail_url else NOTIFICATION


def _rabbitmq(node: RabbitMQ) -> Row:
    at_work = either(unpublished, claims(*_SERVICES))
    return Row("rabbitmq", Node(node), (OUTBOX, PROVIDER, PARCEL, MAIL), at_work, every=2)


def split(folder: Path, node: RabbitMQ | None, mail_url: str = "") -> Cast:
    """``ordermill serve NAME``: every service a process of its own, and the broker another one."""
    ports = _ports()
    port = free_port()
    url = f"amqp://guest:guest@127.0.0.1:{port}/" if node is None else f"{node.url}{node.vhost()}"
    variables = _variables(url, mail_url)
    general = _general(ports)

    def service(name: str) -> Process:
        arguments = [*general, "serve", "--data-dir", ".", name]
        return Process(name, arguments, folder, variables)

    if node is None:
        place = ["broker", "--port", str(port), "--data-dir", "."]
        own = Process("broker", [*general, *place], folder, variables)
        at_work = either(unpublished, claims(*_SERVICES))
        broker = Row("broker", own, (OUTBOX, PROVIDER, PARCEL, MAIL), at_work)
    else:
        broker = _rabbitmq(node)
    mailing = service("notification"), _notification(mail_url), claims("notification")
    rows = (
        broker,
        Row("order-events", service("order-events"), ORDER_EVENTS, either(unpublished, requests)),
        Row("payment", service("payment"), PAYMENT, claims("payment")),
        Row("shipping", service("shipping"), SHIPPING, claims("shipping")),
        Row("notification", *mailing, sends_mail=True),
        Row("gateway", service("gateway"), ORDER_EVENTS, requests),
    )
    return Cast(rows, f"http://127.0.0.1:{ports['http']}", lambda: url)
