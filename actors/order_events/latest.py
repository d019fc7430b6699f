"""Orders as their latest commits have left them, for the many reads that want just that.

Whatever commits an event puts the order here in the same turn of the event loop, before anybody
learns of the commit; nothing else writes streams. So what is here is what a fold of the stream
would give now. What is not here (any more) is folded from the store.
"""

from collections import OrderedDict

from actors.domain.order import Order


class Latest:
    """At most ``orders_max`` orders, the most recently appended to; for the event loop's thread."""

    def __init__(self, orders_max: int = 16_384) -> None:
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._orders_max = orders_max

    def __len__(self) -> int:
        return len(self._orders)

    def put(self, order: Order) -> None:
        """Keep what was just committed."""
        self._orders[order.id] = order
        self._orders.move_to_end(order.id)
        if len(self._orders) > self._orders_max:
            self._orders.popitem(last=False)

    def get(self, order_id: str, at_version: int | None) -> Order | None:
        """Return the order as it is, if it is here; None too if that is not the wanted version."""
        order = self._orders.get(order_id)
        if order is None or at_version not in (None, order.version):
            return None
        return order
