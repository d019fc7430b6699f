"""The built-in mailer: a Maildir that any mail client can read (cr.yp.to/proto/maildir.html).

Exactly once: the key is the file's name, and a file is there as a whole or not at all. A mail that
a client has looked at has moved to ``cur`` and carries flags after a colon; it counts as sent. One
that somebody has deleted does not: the service's own record says that it was sent.
"""

import re

import anyio

from actors.domain.correspondence import MailShown
from actors.notification.mailer import Mail
from actors.notification.rfc5322 import SENDER, mail_bytes, mail_shown
from runtime.errors import Unavailable
from runtime.host import Clock, Disk

FOLDER = "mail"
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")


class Maildir:
    """A `Mailer` that puts mails into ``folder`` of the host's disk, in mode 0600."""

    def __init__(
        self, disk: Disk, clock: Clock, *, folder: str = FOLDER, sender: str = SENDER
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._folder = folder
        self._sender = sender
        self._whole = False
        self._making = anyio.Lock()

    async def send(self, key: str, mail: Mail, *, again: bool = True) -> None:
        """Deliver; see `Mailer`. The date is that of the first delivery.

        Point of no return: the file gets its name. Dying before it leaves nothing that a client
        would show; dying after it, the next attempt finds the file.
        """
        name = self._name(key)
        try:
            await self._make_whole()
            if not again or not await self._sent(key):
                data = mail_bytes(key, mail, at_s=self._clock.wall(), sender=self._sender)
                await self._disk.write_new(name, data)
        except OSError as error:
            # The name may be there and not on the disk: the next attempt syncs the folder again.
            self._whole = False
            raise _unwritable(error) from error

    async def erase(self, key: str) -> None:
        """Remove the mail; see `Mailer`."""
        try:
            await self._disk.remove(self._name(key))
            seen = await self._seen(key)
            if seen is not None:
                await self._disk.remove(seen)
        except OSError as error:
            raise _unwritable(error) from error

    async def _sent(self, key: str) -> bool:
        there = await self._disk.read(self._name(key)) is not None
        return there or await self._seen(key) is not None

    async def latest(self, limit: int) -> list[MailShown]:
        """Return the latest mails, newest first, whether or not a client has seen them.

        Names begin with the order's id, and ids ascend: the last names are of the last orders.
        """
        found: list[MailShown] = []
        for folder in ("new", "cur"):
            names = await self._disk.names(f"{self._folder}/{folder}")
            for name in names[-limit:]:
                data = await self._disk.read(name)
                if data is not None:
                    key = name.rpartition("/")[2].partition(":")[0]
                    found.append(mail_shown(key, data))
        return sorted(found, key=lambda mail: (mail.at_ms, mail.key), reverse=True)[:limit]

    def _name(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError("a mail's key must be usable as the name of a file")
        return f"{self._folder}/new/{key}"

    async def _seen(self, key: str) -> str | None:
        start = f"{self._folder}/cur/{key}"
        names = await self._disk.names(f"{self._folder}/cur")
        return next((name for name in names if name.partition(":")[0] == start), None)

    async def _make_whole(self) -> None:
        """Make the folders that clients expect: a disk makes a folder with its first file.

        It syncs them too: a name that a dead process has left is on the disk before it counts. One
        at a time: two first mails would take each other's file away.
        """
        if self._whole:
            return
        async with self._making:
            if not self._whole:
                for folder in ("tmp", "new", "cur"):
                    await self._disk.write_new(f"{self._folder}/{folder}/.made", b"")
                    await self._disk.remove(f"{self._folder}/{folder}/.made")
                self._whole = True


def _unwritable(error: OSError) -> Unavailable:
    """A disk that is full or failing is no mail's fault: none is given up for it."""
    return Unavailable(f"the mail folder cannot be written: {error.strerror}", gives_up=False)
