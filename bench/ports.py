"""Ports that nobody listens on."""

import random
import socket

# Below those that the kernel gives to outgoing connections (32768 and up): there are thousands of
# them while others load this machine, and one would take the port before its server has it.
FIRST, LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port that was free a moment ago."""
    while True:
        port = random.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
