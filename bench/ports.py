"""Ports for servers whose port must be known before they start.

A port that was only looked up may be gone a moment later: to another process of ours, or to some
connection's own end. Those of here are below the kernel's range for the latter, and are held for
the life of this process by a lock that all of our test processes and benchmarks ask for.
"""

import fcntl
import os
import socket
import tempfile
from contextlib import closing
from pathlib import Path

_FIRST, _LAST = 20000, 29999
_LOCKS = Path(tempfile.gettempdir()) / f"ordermill-ports-{os.getuid()}"

_held: set[int] = set()
# One description for all: closing any other one of the same file would drop every lock of ours.
_locks = os.open(_LOCKS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses, now or while we live."""
    count = _LAST + 1 - _FIRST
    start = os.getpid() * 61  # several processes begin to look in several places
    for port in (_FIRST + number % count for number in range(start, start + count)):
        if port not in _held and _take(port):
            _held.add(port)
            return port
    raise RuntimeError(f"every port from {_FIRST} to {_LAST} is in use")


def _take(port: int) -> bool:
    try:
        fcntl.lockf(_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    with closing(socket.socket()) as probe:
        # As servers do: the remains of earlier connections are nobody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
