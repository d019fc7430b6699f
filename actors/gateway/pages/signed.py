"""Values that a browser keeps for us: readable by it, and made by nobody else.

The text is ``<base64url of JSON>.<base64url of its HMAC>``, under a key for one purpose, so a text
made for one never passes for another. What was tampered with, or was made by an older release in
another shape, is as if it were not there.
"""

import base64
import binascii
import hmac
from typing import TypeVar

import msgspec

from actors.gateway.auth import derived_key, mac

T = TypeVar("T", bound=msgspec.Struct)
TEXT_MAX = 4000
"""Browsers keep cookies of 4096 bytes, name and attributes included (RFC 6265, 6.1)."""


class Signer:
    """Signs values for one ``purpose``, under a key that is derived from ``secret``."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._key = derived_key(secret, purpose)

    def sign(self, value: msgspec.Struct) -> str:
        """Return the value as text, `TEXT_MAX` characters at most."""
        body = _text(msgspec.json.encode(value))
        signed = f"{body}.{self.tag(body)}"
        assert len(signed) <= TEXT_MAX, "what a browser keeps is bounded by its type"
        return signed

    def read(self, text: str, kind: type[T]) -> T | None:
        """Return the value; None where it is not one of ours."""
        body, _, tag = text.partition(".")
        if not self.same(self.tag(body), tag):
            return None
        try:
            return msgspec.json.decode(_bytes(body), type=kind)
        except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError):
            return None

    def tag(self, text: str) -> str:
        """Return the HMAC of a text."""
        return _text(mac(self._key, text.encode()))

    def same(self, one: str, other: str) -> bool:
        """Whether two texts are equal, compared in the same time wherever they differ."""
        return hmac.compare_digest(one.encode(), other.encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
