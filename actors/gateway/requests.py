"""What the API is asked: one struct per request body, checked while it is decoded.

Unknown fields, texts with control characters and texts that hold a card number are refused. The
card itself stops here: `Card` never prints its number, and `payments` swaps it for a token.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.domain.values import (
    Address,
    Customer,
    Money,
    Quantity,
    Sku,
    TidyText,
    is_issued_card_number,
    tidy_text,
)


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment card as the customer types it. Spaces and dashes in the number do not matter."""

    number: Annotated[str, Meta(min_length=12, max_length=40, pattern=r"^[0-9 -]+$(?!\n)")]
    exp_month: Annotated[int, Meta(ge=1, le=12)]
    exp_year: Annotated[int, Meta(ge=2000, le=2199)]
    cvc: Annotated[str, Meta(pattern=r"^[0-9]{3,4}$(?!\n)")]

    def __repr__(self) -> str:
        return "Card(***)"

    @property
    def digits(self) -> str:
        """The number without spaces and dashes."""
        return self.number.replace(" ", "").replace("-", "")


class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card, or the provider's token for one: exactly one of them."""

    card: Card | None = None
    token: Annotated[str, Meta(pattern=r"^pm_[a-z0-9_]{1,61}$(?!\n)")] | None = None

    def __post_init__(self) -> None:
        if (self.card is None) == (self.token is None):
            raise ValueError("`card` must be given, or a token instead of it")


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of a product."""

    sku: Sku
    quantity: Quantity


class PlaceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new order. Prices come from the catalogue; ``expected_total`` is what the customer saw."""

    customer: Customer
    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=50)]
    shipping_address: Address
    payment: Payment
    expected_total: Money | None = None

    def __post_init__(self) -> None:
        if len({item.sku for item in self.items}) < len(self.items):
            raise ValueError("`items` must name each sku only once")


class CancelRequest(TidyText, frozen=True):
    """Why the order is called off, if the customer cares to say."""

    reason: Annotated[str, Meta(max_length=200)] | None = None


class ShipRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which carrier took the parcel, and the number it is tracked by.

    A tracking number is often 15 digits or more: it is refused only where its first digits are a
    card issuer's too.
    """

    carrier: Annotated[str, Meta(min_length=1, max_length=40)]
    tracking: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./_-]{0,63}$(?!\n)")]

    def __post_init__(self) -> None:
        carrier = _Text(tidy_text("carrier", self.carrier)).carrier
        msgspec.structs.force_setattr(self, "carrier", carrier)
        msgspec.structs.force_setattr(self, "tracking", self.tracking.strip())
        digits = re.sub("[ ./_-]", "", self.tracking)
        if is_issued_card_number(digits):
            raise ValueError("`tracking` must not be a payment card number")


class _Text(TidyText, frozen=True):
    carrier: str
