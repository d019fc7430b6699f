"""What libraries ask of a socket, where there is none."""

from typing import Protocol


class Readable(Protocol):
    """An end of a connection that can be polled."""

    @property
    def readable(self) -> bool:
        """Whether a read would not wait (poll's POLLIN)."""
        ...


class SocketStandIn:
    """What libraries ask of a transport's or a listener's socket."""

    family = 2

    def __init__(self, own: tuple[str, int], peer: tuple[str, int], end: Readable | None) -> None:
        self._own, self._peer, self.end = own, peer, end

    def getsockname(self) -> tuple[str, int]:
        """Return the address of this side."""
        return self._own

    def getpeername(self) -> tuple[str, int]:
        """Return the address of the other side."""
        return self._peer

    def setsockopt(self, *_options: object) -> None:
        """Take every option: there is nothing to tune."""

    def fileno(self) -> int:
        """Return -1: there is no descriptor."""
        return -1
