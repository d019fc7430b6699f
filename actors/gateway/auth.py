"""Who asks: a customer with an order's token, an operator, a viewer, or nobody.

A customer's token is derived, not stored: an HMAC over the order, the rights, the day it expires
and the epoch. The same order therefore always has the same token, so a replayed answer can carry
it, and bumping the epoch revokes all of them. Its text is ``<rights>.<expires>.<mac>``; ``expires``
is in seconds since the Unix epoch.

Somebody else's order looks exactly like one that does not exist: neither is looked for. Comparisons
take the same time wherever they differ.
"""

import base64
import hmac
import re
from collections.abc import Callable
from typing import Literal

import msgspec

from runtime.errors import Rejection

Kind = Literal["guest", "operator", "viewer"]
Rights = Literal["read", "edit"]

EPOCH = 1
_TOKEN = re.compile(r"(read|edit)\.([0-9]{1,12})\.[A-Za-z0-9_-]{43}")
_ORDER_ID = re.compile(r"ord_[0-9A-Z]{26}")


class Principal(msgspec.Struct, frozen=True):
    """Who asks; ``name`` scopes idempotency keys and rate limits."""

    kind: Kind
    name: str
    rights: Rights


GUEST = Principal("guest", "guest", "edit")


def derived_key(secret: str, purpose: str) -> bytes:
    """Return a key for one purpose only, so that a MAC made for one never passes for another."""
    return mac(secret.encode(), f"ordermill/{purpose}/v1".encode())


def mac(key: bytes, text: bytes) -> bytes:
    """Return the HMAC-SHA-256 of the text.

    `hmac.digest` would give the interpreter's lock away each time, for a microsecond's work.
    """
    return hmac.new(key, text, "sha256").digest()


def is_order_id(text: str) -> bool:
    """Whether the text can be an order's id at all."""
    return _ORDER_ID.fullmatch(text) is not None


class Authority:
    """Makes and checks tokens. ``ttl_s`` counts from the order's creation; ``wall`` is the date."""

    def __init__(
        self,
        *,
        secret: str,
        ttl_s: float,
        wall: Callable[[], float],
        operator_token: str = "",
        viewer_token: str = "",
    ) -> None:
        self._key = derived_key(secret, "access-token")
        self._ttl_s = ttl_s
        self._wall = wall
        self._staff = [
            (token.encode(), principal)
            for token, principal in (
                (operator_token, Principal("operator", "operator", "edit")),
                (viewer_token, Principal("viewer", "viewer", "read")),
            )
            if token
        ]

    def access_token(self, order_id: str, created_at_ms: int, rights: Rights = "edit") -> str:
        """Return the order's token: always the same one."""
        return self._token(order_id, rights, int(created_at_ms / 1000 + self._ttl_s))

    def _token(self, order_id: str, rights: str, expires_s: int) -> str:
        text = f"{order_id}|{rights}|{expires_s}|{EPOCH}"
        tag = base64.urlsafe_b64encode(mac(self._key, text.encode())).rstrip(b"=")
        return f"{rights}.{expires_s}.{tag.decode()}"

    def staff(self, token: str) -> Principal | None:
        """Return the operator or the viewer this token belongs to."""
        given = token.encode()
        found = [who for known, who in self._staff if hmac.compare_digest(known, given)]
        return found[0] if found else None

    def token_of(self, kind: str) -> str:
        """Return the token of the operator or the viewer; empty where there is none."""
        found = [token.decode() for token, who in self._staff if who.kind == kind]
        return found[0] if found else ""

    def guest(self, order_id: str, token: str) -> Principal | None:
        """Return the customer this token makes of its bearer; None where it is not this order's.

        Rejection(unauthorized) where it is, but has expired.
        """
        found = _TOKEN.fullmatch(token)
        rights, expires = (found[1], int(found[2])) if found else ("read", 0)
        expected = self._token(order_id, rights, expires)
        if not hmac.compare_digest(expected.encode(), token.encode()):
            return None
        if expires < self._wall():
            raise unauthorized("The access token has expired.")
        return Principal("guest", f"guest:{order_id}", "edit" if rights == "edit" else "read")

    def known(self, token: str | None) -> Principal:
        """Return who bears the token where no order is concerned: staff, or a guest without one."""
        if token is None:
            return GUEST
        found = self.staff(token)
        if found is None:
            raise unauthorized("The token is not known here.")
        return found


def bearer(authorization: str | None) -> str | None:
    """Return the token of an Authorization header (RFC 6750, 2.1); None without a header."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("The Authorization header is not a bearer token.")
    return token.strip()


def require_edit(principal: Principal) -> None:
    """Raise Rejection(forbidden) unless the principal may change things."""
    if principal.rights != "edit":
        raise forbidden()


def require_staff(principal: Principal, *, edit: bool = False) -> None:
    """Raise Rejection(forbidden) unless this is an operator, or a viewer who only looks."""
    if principal.kind == "guest" or (edit and principal.rights != "edit"):
        raise forbidden()


def unauthorized(message: str) -> Rejection:
    """Return the refusal of a request without a (valid) token."""
    return Rejection("unauthorized", message, status_hint=401)


def forbidden() -> Rejection:
    """Return the refusal of a request whose token has not the right."""
    return Rejection("forbidden", "The token does not allow this.", status_hint=403)
