"""What one may ask of the shipping service: to note that the carrier took an order's parcel."""

from typing import Protocol

from actors.domain.order_events import Recorded


class Shipments(Protocol):
    """The "has shipped" request, however the shipping service is reached."""

    async def shipped(
        self, order_id: str, carrier: str, tracking: str, correlation_id: str
    ) -> Recorded:
        """Append ``shipped`` to the order; ``correlation_id`` is the id of the request.

        Repeated with the same carrier and tracking number it returns the original. Rejections:
        ``not-found``, ``not-prepared``, ``already-shipped`` (with another carrier or number).
        `Unavailable`: it may have been noted all the same; ask again.
        """
        ...
