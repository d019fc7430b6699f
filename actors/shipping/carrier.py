"""What the shipping service needs of a carrier, as a port.

The law for whoever stands behind it: the same key never makes two parcels. `Unavailable` - the
outcome is unknown, ask with the same key; `Unprocessable` - the carrier will never take it, for a
person to look at.
"""

from typing import Protocol

import msgspec

from actors.domain.values import Address, Line


class Parcel(msgspec.Struct, frozen=True):
    """What stands ready for the carrier to take away."""

    parcel_id: str


class Carrier(Protocol):
    """A carrier. Times out by itself: no call waits for ever."""

    async def prepare(
        self, key: str, order_id: str, address: Address, items: tuple[Line, ...]
    ) -> Parcel:
        """Make a parcel of the items, labelled with the address; or find the one of this key."""
        ...

    async def lookup(self, key: str) -> Parcel | None:
        """Return the parcel that was made with this key, or None if none was so far."""
        ...

    async def erase(self, order_id: str) -> None:
        """Forget the addresses of this order's parcels; the parcels themselves stay known."""
        ...
