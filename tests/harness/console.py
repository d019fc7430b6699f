"""The Python end of ``console.erl``: Erlang expressions in a running node, a millisecond each."""

import socket
import struct
from collections.abc import Iterable
from pathlib import Path

SOURCE = Path(__file__).with_name("console.erl")
PATIENCE_S = 30.0
_LENGTH = struct.Struct(">I")

# What `rabbitmqctl eval` must run once in the node; it answers the console's port.
STARTING = (
    f'{{ok, M, B}} = compile:file("{SOURCE.with_suffix("")}", [binary]), '
    f'{{module, M}} = code:load_binary(M, "{SOURCE.name}", B), M:listen().'
)


class Console:
    """A connection to the console of one node."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def evaluate(self, expression: str) -> str:
        """What the expression is, printed; RuntimeError with its exception."""
        return self._ask(f"eval {expression}")

    def await_stillness(self, clients: Iterable[tuple[int, int]]) -> None:
        """Wait until all that these clients (port, octets sent) sent is done, and nobody works."""
        listed = " ".join(f"{port}:{octets}" for port, octets in clients)
        self._ask(f"still {listed}")

    def close(self) -> None:
        self._socket.close()

    def _ask(self, request: str) -> str:
        raw = request.encode()
        self._socket.sendall(_LENGTH.pack(len(raw)) + raw)
        verdict, _, answer = self._read().decode().partition(" ")
        if verdict != "ok":
            raise RuntimeError(f"{request}: {answer}")
        return answer

    def _read(self) -> bytes:
        (size,) = _LENGTH.unpack(self._receive(_LENGTH.size))
        return self._receive(size)

    def _receive(self, size: int) -> bytes:
        data = self._socket.recv(size, socket.MSG_WAITALL)
        if len(data) < size:
            raise RuntimeError("the node's console is gone")
        return data
