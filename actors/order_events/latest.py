"""Orders as their latest commits have left them, and their personal data, for who asks next.

Whatever commits an event puts the order here in the same turn of the event loop, before anybody
learns of the commit; nothing else writes streams. So what is here is what a fold of the stream
would give, now or at that version. What is not here (any more) is read from the store.

Personal data comes here with the commit that writes it, and goes with the one that erases it: a
reader never puts it back.
"""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from actors.domain.order import Order
from actors.domain.order_events import Personal, PersonalKind


class Kept(msgspec.Struct, frozen=True):
    """One entry of the vault, and of which kind it is."""

    kind: PersonalKind
    personal: Personal


class _Entry:
    """One order: its states, of consecutive versions, and what its references stand for."""

    __slots__ = ("kept", "states")

    def __init__(self) -> None:
        self.states: list[Order] = []
        self.kept: dict[str, Kept] = {}


class Latest:
    """At most ``orders_max`` orders, the most recently appended to; for the event loop's thread."""

    def __init__(self, orders_max: int = 4096) -> None:
        self._orders: OrderedDict[str, _Entry] = OrderedDict()
        self._orders_max = orders_max

    def __len__(self) -> int:
        return len(self._orders)

    def put(self, order: Order) -> None:
        """Keep what was just committed."""
        states = self._entry(order.id).states
        if states and states[-1].version + 1 != order.version:
            states.clear()
        states.append(order)

    def keep(self, order_id: str, ref: str, kept: Kept) -> None:
        """Keep the vault's entry that was just committed."""
        self._entry(order_id).kept[ref] = kept

    def forget(self, order_id: str) -> None:
        """Forget the order's personal data, which was just erased."""
        entry = self._orders.get(order_id)
        if entry is not None:
            entry.kept.clear()

    def get(self, order_id: str, at_version: int | None) -> Order | None:
        """Return the order as it is, or was at a version; None where that is not here."""
        entry = self._orders.get(order_id)
        if entry is None or not entry.states:
            return None
        states = entry.states
        place = -1 if at_version is None else at_version - states[0].version
        if at_version is not None and not 0 <= place < len(states):
            return None
        return states[place]

    def personal(self, order_id: str, refs: Sequence[str]) -> list[Kept] | None:
        """Return what the order's references stand for; None where one of them is not here."""
        entry = self._orders.get(order_id)
        if entry is None:
            return None
        found = [entry.kept[ref] for ref in refs if ref in entry.kept]
        return found if len(found) == len(refs) else None

    def _entry(self, order_id: str) -> _Entry:
        entry = self._orders.get(order_id)
        if entry is None:
            entry = self._orders[order_id] = _Entry()
        self._orders.move_to_end(order_id)
        if len(self._orders) > self._orders_max:
            self._orders.popitem(last=False)
        return entry
