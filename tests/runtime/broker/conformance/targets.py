"""The brokers that the scripts are played on."""

import contextlib
import socket
import time
from itertools import count

from runtime.broker.broker import Broker
from runtime.broker.protocol import Connection
from tests.harness.rabbitmq import RabbitMQ


class Tcp:
    """A socket to a broker that listens."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=10)

    def send(self, data: bytes) -> None:
        # A server that has hung up says so when we read.
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def receive(self, patience_s: float) -> bytes:
        self._socket.settimeout(patience_s)
        try:
            return self._socket.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        self._socket.close()


class Listening:
    """A broker behind a TCP port."""

    def __init__(self, host: str, port: int, vhost: str, user: str, password: str) -> None:
        self.host, self.port, self.vhost = host, port, vhost
        self.user, self.password = user, password
        self._sockets: list[Tcp] = []

    def connect(self) -> Tcp:
        self._sockets.append(Tcp(self.host, self.port))
        return self._sockets[-1]

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        for opened in self._sockets:
            opened.close()


def real(node: RabbitMQ) -> Listening:
    """A fresh virtual host of a running RabbitMQ."""
    return Listening(node.host, node.port, node.vhost(), node.user, node.password)


class Moment:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.time = 1000.0

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0 + self.time


class InMemory:
    """The broker's core without sockets. Waiting means moving its clock to the next timer."""

    vhost = "/"
    user = password = "guest"

    def __init__(self) -> None:
        self.clock = Moment()
        numbers = count(1)
        self.broker = Broker(
            self.clock, users={"guest": "guest"}, token=lambda: f"token-{next(numbers)}"
        )

    def connect(self) -> "Pipe":
        return Pipe(self, self.broker.connect())

    def sleep(self, seconds: float) -> None:
        until = self.clock.time + seconds
        while (due := self.broker.next_timer()) is not None and due <= until:
            self.clock.time = due
            self.broker.run_timers()
        self.clock.time = until

    def close(self) -> None:
        """Nothing to close."""


class Pipe:
    """The client's end of a connection in memory."""

    def __init__(self, target: InMemory, connection: Connection) -> None:
        self._target = target
        self._connection = connection

    def send(self, data: bytes) -> None:
        self._target.broker.receive(self._connection, data)

    def receive(self, patience_s: float) -> bytes:
        limit = self._target.clock.time + patience_s
        while True:
            data = self._connection.take_output()
            if data or self._connection.ending:
                return data
            due = self._target.broker.next_timer()
            if due is None or due > limit:
                raise TimeoutError
            self._target.sleep(due - self._target.clock.time)
