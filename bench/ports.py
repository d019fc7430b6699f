"""Ports that nobody listens on."""

import os
import socket
from itertools import count

# Below those that the kernel gives to outgoing connections (32768 and up): there are thousands of
# them while others load this machine, and one would take the port before its server has it.
FIRST, PORTS = 20_000, 12_000
_next = count(os.getpid() * 16)


def free_port() -> int:
    """Return a port that was free a moment ago; another one each time."""
    while True:
        port = FIRST + next(_next) % PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
