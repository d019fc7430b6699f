"""The envelope every service sends and receives, free of any broker's client library.

One `Message` is one AMQP message: the seven properties of the order system's specification, the
headers, and the body as bytes. ``runtime.amqp`` maps it to and from the wire.
"""

from functools import lru_cache

import msgspec

from runtime.errors import Unprocessable

REQUEUED = "x-requeued"
ATTEMPT = "x-attempt"

HeaderValue = str | int | bool


class MessageType(msgspec.Struct, frozen=True):
    """The AMQP ``type`` property: ``<event>/v<version>``, such as ``order-created/v1``."""

    name: str
    version: int

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(text: str) -> "MessageType":
        """Read ``order-created/v1``; raises `Unprocessable` (malformed) for anything else."""
        name, slash, version = text.rpartition("/v")
        if not slash or not name or not version.isascii() or not version.isdigit():
            raise Unprocessable("malformed", f"type {text[:80]!r} is not of the form <event>/v<n>")
        return MessageType(name, int(version))

    def __str__(self) -> str:
        return f"{self.name}/v{self.version}"


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One message. ``timestamp`` is in whole seconds since the epoch (AMQP 0-9-1, 4.2.5.4).

    A message that was re-queued on purpose says so in its headers: ``x-requeued: true`` and
    ``x-attempt: n``, the number of attempts already made. Its ``message_id`` never changes.
    """

    message_id: str
    type: str
    body: bytes
    correlation_id: str
    app_id: str
    timestamp: int
    content_type: str = "application/json"
    delivery_mode: int = 2
    headers: dict[str, HeaderValue] = {}

    @property
    def requeued(self) -> bool:
        """Whether a consumer put this copy back on purpose (unlike a true duplicate)."""
        return self.headers.get(REQUEUED) is True

    @property
    def attempt(self) -> int:
        """How many attempts were made before this delivery; 0 for a first delivery."""
        attempt = self.headers.get(ATTEMPT, 0)
        return attempt if type(attempt) is int and attempt >= 0 else 0

    def as_retry(self, attempt: int) -> "Message":
        """Copy with the same identity, marked as re-queued after ``attempt`` attempts."""
        headers = {**self.headers, REQUEUED: True, ATTEMPT: attempt}
        return msgspec.structs.replace(self, headers=headers)
