"""What the payment service needs of a payment provider, as a port.

Every request carries an idempotency key. The law for whoever stands behind the port: within
`KEY_LIFE_S` the same key and request never have two effects. What a request did is also found by
its key afterwards, without limit: a look-up reads the provider's books, not its memory of requests.

Exceptions say what is known: `Unavailable` - the outcome is unknown, ask with the same key;
`Unprocessable` - an answer that cannot be dealt with, for a person to look at; `KeyConflict` - a
bug of ours. A decline is an answer, not an exception.
"""

from typing import Protocol

import msgspec

from actors.domain.values import Money

# How long a provider remembers an idempotency key (Stripe: "at least 24 hours").
KEY_LIFE_S = 86400.0


class Authorised(msgspec.Struct, frozen=True, tag="authorised"):
    """The money is reserved."""

    authorisation_id: str


class Captured(msgspec.Struct, frozen=True, tag="captured"):
    """The money was taken."""

    charge_id: str


class Declined(msgspec.Struct, frozen=True, tag="declined"):
    """A definite no, such as ``card_declined``: nothing was reserved or taken."""

    reason: str


class Voided(msgspec.Struct, frozen=True, tag="voided"):
    """The reservation is given up: it can never be captured any more."""


class Refunded(msgspec.Struct, frozen=True, tag="refunded"):
    """The money went back."""

    refund_id: str


Outcome = Authorised | Captured | Declined | Voided | Refunded


class KeyConflict(Exception):
    """The key was used before for another request: nothing was done, and nobody may retry it."""


class PaymentProvider(Protocol):
    """A payment provider. Times out by itself: no call waits for ever."""

    async def authorise(
        self, key: str, token: str, amount: Money, order_id: str
    ) -> Authorised | Declined:
        """Reserve the amount on the card behind ``token``."""
        ...

    async def capture(self, key: str, authorisation_id: str, amount: Money) -> Captured | Declined:
        """Take what was reserved; declined if the reservation is gone."""
        ...

    async def void(self, key: str, authorisation_id: str) -> Voided | Captured:
        """Give the reservation up; answers `Captured` if a capture came first."""
        ...

    async def refund(self, key: str, charge_id: str, amount: Money) -> Refunded:
        """Give the money back."""
        ...

    async def lookup(self, key: str) -> Outcome | None:
        """Return what the request with this key did, or None if it had no effect so far."""
        ...
