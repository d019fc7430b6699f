"""A private RabbitMQ node for tests: `bench.rabbitmq`, and what only tests do to one."""

import signal
import subprocess
from collections.abc import Iterable

import pika
from pika.exceptions import AMQPError

from bench import rabbitmq
from tests.harness.console import STARTING, Console

STOP_S_MAX = 30.0

# What these commands of rabbitmqctl call.
DEEDS = {
    "close_connection": '[rabbit_networking:close_connection(P, "{argument}") || '
    "P <- rabbit_networking:connections(), "
    "rabbit_reader:info(P, [peer_port]) =:= [{{peer_port, {port}}}]].",
    "delete_queue": 'rabbit_amqqueue:with(rabbit_misc:r(<<"{vhost}">>, queue, '
    '<<"{argument}">>), fun(Q) -> rabbit_amqqueue:delete(Q, false, false, <<"guest">>) end).',
    "purge_queue": 'rabbit_amqqueue:with(rabbit_misc:r(<<"{vhost}">>, queue, '
    '<<"{argument}">>), fun rabbit_amqqueue:purge/1).',
    "set_alarm": "rabbit_alarm:set_alarm({{{{resource_limit, {argument}, node()}}, []}}).",
    "clear_alarm": "rabbit_alarm:clear_alarm({{resource_limit, {argument}, node()}}).",
}


class RabbitMQ(rabbitmq.RabbitMQ):
    """One node. `start` waits until a client can log in; `stop` is graceful, `kill` is not.

    After `stop` or `kill`, `start` brings the same node back with the data it kept.
    """

    def __init__(self, *, management: bool = False) -> None:
        super().__init__(management=management)
        self._console: Console | None = None
        self._cleaned_vhost = ""

    @property
    def url(self) -> str:
        """The address of the default virtual host, with user and password."""
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/"

    def stop(self) -> None:
        """Shut the node down in good order; its data stays."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._server.kill()
        self.kill()

    def kill(self) -> None:
        """Kill the node at once (SIGKILL); its data stays."""
        super().kill()
        if self._console is not None:
            self._console.close()
            self._console = None

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the node and return it printed (about a millisecond)."""
        return self._open_console().evaluate(expression)

    def await_stillness(self, clients: Iterable[tuple[int, int]]) -> None:
        """Wait until the node has done all that these clients sent, and has nothing left to do.

        A client is its own port and how many octets it has sent. Timers may still be running.
        """
        self._open_console().await_stillness(clients)

    def operate(self, deed: str, vhost: str, client_port: int, argument: str) -> None:
        """Do what an operator does with ``rabbitmqctl``, faster: see `DEEDS` for what."""
        self.evaluate(DEEDS[deed].format(vhost=vhost, port=client_port, argument=argument))

    def clean_vhost(self) -> str:
        """Return the name of a virtual host where nothing is left of who had it before.

        Always the same one: cheaper than a new one by far, and for one at a time.
        """
        if not self._cleaned_vhost:
            self._cleaned_vhost = self.vhost()
        self.evaluate(f'console:clean(<<"{self._cleaned_vhost}">>).')
        return self._cleaned_vhost

    def _open_console(self) -> Console:
        if self._console is None:
            self._console = Console(self.host, int(self.control("eval", STARTING)))
        return self._console

    def _is_ready(self) -> bool:
        if not super()._is_ready():
            return False
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (AMQPError, OSError):
            return False
        return True
