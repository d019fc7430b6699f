"""Ports are given once: to one process of this machine, while it lives."""

import socket
import subprocess
import sys
from contextlib import closing

from bench import ports

_TAKE = "from bench import ports; import sys; print(ports._take(int(sys.argv[1])))"


def _taken_by_another_process(port: int) -> bool:
    command = [sys.executable, "-c", _TAKE, str(port)]
    return subprocess.check_output(command, text=True).strip() == "True"


def test_a_port_is_given_once() -> None:
    given = [ports.free_port() for _ in range(100)]
    assert len(set(given)) == 100
    for port in given:
        with closing(socket.create_server(("127.0.0.1", port))):
            pass


def test_what_one_process_was_given_no_other_gets_and_none_that_somebody_listens_on() -> None:
    assert not _taken_by_another_process(ports.free_port())
    port = ports.free_port()
    with closing(socket.create_server(("127.0.0.1", port))):
        assert not ports._take(port)


def test_connections_of_the_kernels_choice_never_have_one() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as kernel:
        first, last = map(int, kernel.read().split())
    assert not first <= ports._FIRST <= last
    assert not first <= ports._LAST <= last
