"""The brokers that the scripts are played on."""

import contextlib
import socket
import time
from collections.abc import Callable
from itertools import count

from runtime.broker.broker import Broker
from runtime.broker.errors import BrokerError
from runtime.broker.operating import Operator
from runtime.broker.protocol import Connection
from tests.harness.rabbitmq import RabbitMQ
from tests.runtime.broker.conformance.peer import Wire

STEP_S = 0.002


class Tcp:
    """A socket to a broker that listens."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=10)
        # Scripts write small frames one by one: without this each waits for a delayed TCP ack.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        self.octets_sent = 0

    def send(self, data: bytes) -> None:
        # A server that has hung up says so when we read.
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)
            self.octets_sent += len(data)

    def receive(self, patience_s: float) -> bytes:
        self._socket.settimeout(patience_s)
        try:
            return self._socket.recv(1 << 16)
        except BlockingIOError as error:
            raise TimeoutError from error
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        self._socket.close()


Clients = list[tuple[int, int]]
# Deed, virtual host, the port of the client it is done to (0: nobody's), argument.
Operate = Callable[[str, str, int, str], None]


class Listening:
    """A broker behind a TCP port.

    ``await_stillness`` is told the clients (their own port, octets they sent) to wait for;
    ``operate`` does what an operator does.
    """

    def __init__(
        self,
        address: tuple[str, int],
        vhost: str,
        login: tuple[str, str],
        await_stillness: Callable[[Clients], None],
        operate: Operate,
    ) -> None:
        self.host, self.port = address
        self.vhost = vhost
        self.user, self.password = login
        self._await_stillness = await_stillness
        self._operate = operate
        self._sockets: list[Tcp] = []

    def connect(self) -> Tcp:
        self._sockets.append(Tcp(self.host, self.port))
        return self._sockets[-1]

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def await_stillness(self) -> None:
        self._await_stillness([(one.port, one.octets_sent) for one in self._sockets])

    def operate(self, deed: str, wire: Wire | None, argument: str) -> None:
        assert wire is None or isinstance(wire, Tcp)
        self._operate(deed, self.vhost, 0 if wire is None else wire.port, argument)

    def close(self) -> None:
        for opened in self._sockets:
            opened.close()


def real(node: RabbitMQ) -> Listening:
    """A clean virtual host of a running RabbitMQ; one at a time."""
    address, login = (node.host, node.port), (node.user, node.password)
    node.await_stillness(())
    return Listening(address, node.clean_vhost(), login, node.await_stillness, node.operate)


class Moment:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.epoch = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.epoch + self.time


def operate(operator: Operator, deed: str, argument: str, vhost: str = "/") -> None:
    """Let the operator of a core do one of the deeds that are not to a connection."""
    deeds: dict[str, Callable[[], object]] = {
        "delete_queue": lambda: operator.delete_queue(argument, vhost),
        "purge_queue": lambda: operator.purge_queue(argument, vhost),
        "set_alarm": lambda: operator.set_alarm("memory"),
        "clear_alarm": lambda: operator.clear_alarm("memory"),
    }
    with contextlib.suppress(BrokerError):  # a queue that is gone is nobody's business
        deeds[deed]()


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

    def await_stillness(self) -> None:
        """Everything is done at once; but time passes, as it does elsewhere."""
        self.sleep(STEP_S)

    def operate(self, deed: str, wire: Wire | None, argument: str) -> None:
        assert wire is None or isinstance(wire, Pipe)
        operator = Operator(self.broker)
        if wire is not None:
            operator.close_connection(wire.connection, argument)
        else:
            operate(operator, deed, argument)

    def close(self) -> None:
        """Nothing to close."""


class Pipe:
    """The client's end of a connection in memory."""

    def __init__(self, target: InMemory, connection: Connection) -> None:
        self._target = target
        self.connection = connection

    def send(self, data: bytes) -> None:
        self._target.broker.receive(self.connection, data)

    def close(self) -> None:
        self._target.broker.disconnected(self.connection)

    def receive(self, patience_s: float) -> bytes:
        limit = self._target.clock.time + patience_s
        while True:
            data = self.connection.take_output()
            if data or self.connection.ending:
                return data
            due = self._target.broker.next_timer()
            if due is None or due > limit:
                raise TimeoutError
            self._target.sleep(due - self._target.clock.time)
