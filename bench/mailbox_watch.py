"""Watching a Maildir from outside: the kernel tells which mail has arrived (inotify(7)).

So the system that is measured is asked nothing, and a customer's *shipped* mail is the end of an
order, as it is for the customer.
"""

import asyncio
import ctypes
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

_MOVED_TO, _CREATE = 0x80, 0x100
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class MailWatch:
    """Calls ``arrived(order_id, at)`` for each *shipped* mail in ``folder``; ``at`` is Unix time.

    A mail's file is named ``<order>.<event>.<template>``.
    """

    def __init__(
        self, folder: Path, arrived: Callable[[str, float], None], template: str = "order-shipped"
    ) -> None:
        self._arrived = arrived
        self._ending = f".{template}"
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = _libc.inotify_add_watch(self._descriptor, bytes(folder), _MOVED_TO | _CREATE)
        if self._descriptor < 0 or watch < 0:
            raise OSError(ctypes.get_errno(), "inotify", str(folder))
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        data, at = os.read(self._descriptor, 1 << 20), time.time()
        start = 0
        while start < len(data):
            _, _, _, length = _EVENT.unpack_from(data, start)
            start += _EVENT.size + length
            name = data[start - length : start].rstrip(b"\0").decode()
            if name.endswith(self._ending):
                self._arrived(name.partition(".")[0], at)
