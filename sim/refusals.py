"""An event loop without an operating system: whoever asks for a thread or a socket is refused."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn


class Refused(Exception):
    """The code under simulation asked for the real world: a thread, a socket, a descriptor."""


class Nowhere(asyncio.BaseEventLoop):
    """The part of a loop that would reach for the operating system."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> NoReturn:  # type: ignore[override]
        """Refuse: a thread runs when it likes."""
        raise Refused(f"a thread was asked for: {func!r}")

    def _write_to_self(self) -> None:
        """Nobody waits in a selector."""

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _refuse(self, *_given: Any, **_named: Any) -> NoReturn:
        raise Refused("a file descriptor was asked for")

    add_reader = add_writer = remove_reader = remove_writer = _refuse  # type: ignore[assignment]
    sock_connect = sock_recv = sock_sendall = sock_accept = _refuse
    add_signal_handler = _refuse  # type: ignore[assignment]
    create_datagram_endpoint = subprocess_exec = _refuse


def refuse_tls(given: dict[str, Any]) -> None:
    """Refuse a connection with TLS: nothing of it is in virtual time."""
    if given.get("ssl"):
        raise Refused("TLS is not simulated")
