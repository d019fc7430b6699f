"""What a tap lets travel: bytes that are decided on, until they leave or while they are kept."""

from collections.abc import Callable

from sim.wire import Wire


class Line:
    """The two directions behind one tap. ``up`` and ``down``: whole frames, to leave at `flush`."""

    def __init__(self, wire: Wire) -> None:
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.out = {True: self.up, False: self.down}
        self._wire = wire
        self._kept: dict[bool, bytes] = {}
        self._fuse: tuple[bool, float, Callable[[], object]] | None = None

    def flush(self) -> None:
        """Send what has been decided so far; a tap does it by itself after each chunk."""
        for to_server, out in self.out.items():
            if out:
                data = b"".join(out)
                out.clear()
                if to_server in self._kept:
                    self._kept[to_server] += data
                else:
                    self._send(to_server, data)

    def keep(self, *, to_server: bool) -> None:
        """Let nothing pass in this direction until `release`."""
        self.flush()
        self._kept.setdefault(to_server, b"")

    def release(self) -> None:
        """Let everything go on that was kept, in order."""
        kept, self._kept = self._kept, {}
        for to_server, data in kept.items():
            self._send(to_server, data)

    def snap(self, *, to_server: bool, share: float, snapped: Callable[[], object]) -> None:
        """Reset the connection inside what goes this way next, behind ``share`` of it."""
        self._fuse = to_server, share, snapped

    def _send(self, to_server: bool, data: bytes) -> None:
        if self._fuse is not None and self._fuse[0] == to_server and len(data) > 1:
            _, share, snapped = self._fuse
            self._fuse = None
            cut = min(max(1, int(len(data) * share)), len(data) - 1)
            self._wire.pass_on(data[:cut], to_server=to_server)
            self._wire.reset()
            snapped()
        elif data:
            self._wire.pass_on(data, to_server=to_server)
