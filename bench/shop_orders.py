"""Orders to measure with: what a customer of the shop sends, and what follows."""

from actors.domain.events import PaymentCaptured
from actors.domain.order_events import Intent, PaymentDetails, PlaceOrder
from actors.domain.values import Address, Customer, Line, Money

LINES = (
    Line("MUG-1", "Mug", 2, Money(1450, "EUR")),
    Line("TEA-7", "Green tea", 1, Money(1990, "EUR")),
)
CAPTURED = PaymentCaptured(1, "ch_01JD0000000000000000000000", Money(4890, "EUR"), 2)
PLACING = PlaceOrder(
    customer=Customer("Ada Lovelace", "ada@example.org"),
    items=LINES,
    shipping_address=Address("Ada Lovelace", "12 St James's Square", "London", "SW1Y 4JH", "GB"),
    payment=PaymentDetails("pm_card_visa", "visa", "4242"),
)


def intent(number: int) -> Intent:
    """Return the intent of the n-th request, as a guest without an idempotency key has it."""
    return Intent(principal="guest", route="POST /v1/orders", correlation_id=f"req_{number}")
