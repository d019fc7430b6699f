"""Links that log an operator in once: for whoever reads the terminal where the system was started.

They are kept in memory, as hashes: a restart makes all of them void, and prints a new one.
"""

import base64
import hashlib

from runtime.host import Host

VALID_S = 600.0
LINKS_MAX = 100
LOGIN_PATH = "/ops/login"


class LoginLinks:
    """The links of one process that are still good."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._until: dict[bytes, float] = {}

    def make(self) -> str:
        """Return the path of a new link, good for `VALID_S`; the oldest ones give way to it."""
        token = base64.urlsafe_b64encode(self._host.random.randbytes(32)).rstrip(b"=").decode()
        self._until[_digest(token)] = self._host.clock.monotonic() + VALID_S
        for digest in list(self._until)[:-LINKS_MAX]:
            del self._until[digest]
        return f"{LOGIN_PATH}?t={token}"

    def redeem(self, token: str) -> bool:
        """Whether the token is good; from now on it is not.

        What is looked up is its hash, so the time that takes tells nothing about a good one.
        """
        until = self._until.pop(_digest(token), None)
        return until is not None and self._host.clock.monotonic() < until


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
