"""What the mails say: which template an event leads to, whether it is sent, and its words.

Everything is read from the order as it was at the event's version, so a mail that is rendered again
says the same. Only the greeting, the carrier and the tracking number are text that somebody typed;
HTML escapes them, headers never hold them.
"""

from collections.abc import Callable
from functools import cache

import jinja2

from actors.domain.amounts import amount_text
from actors.domain.order import Order
from actors.domain.values import Line, Money
from actors.notification.mailer import Mail

TEMPLATES = {
    "order-created": "order-received",
    "order-cancelled": "order-cancelled",
    "payment-auth-failed": "payment-failed",
    "shipped": "order-shipped",
}
SUBJECTS = {
    "order-received": "We received your order {number}",
    "order-cancelled": "Your order {number} is cancelled",
    "payment-failed": "The payment of your order {number} failed",
    "order-shipped": "Your order {number} is on its way",
    "order-link": "The link to your order {number}",
}
LINK = "order-link"
"""The one template that follows from no event: a customer has asked for it."""
DECLINED = {
    "insufficient_funds": "There is not enough money on the card.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The card's security code was wrong.",
    "processing_error": "The card's processor reported an error.",
}
DECLINED_SOMEHOW = "Your bank declined the card."

OrderUrl = Callable[[Order], str | None]
"""Returns the address at which its customer finds an order, or None for no link."""


def no_url(_order: Order) -> None:
    """Give no link."""


def skip_reason(order: Order, event_type: str) -> str | None:
    """Return why no mail is sent about this event (the order is as of its version), or None.

    A failed payment of an order that was cancelled before is no news: it was to be expected.
    """
    if event_type == "payment-auth-failed" and order.cancelled:
        return "order-cancelled"
    return None


class Letters:
    """Renders mails; ``order_url`` says where a customer finds an order."""

    def __init__(self, order_url: OrderUrl = no_url) -> None:
        self._order_url = order_url

    def letter(
        self, template: str, order: Order, name: str, email: str, *, url: str | None = None
    ) -> Mail:
        """Return the mail to ``email`` about the order as of the event, with the usual link."""
        subject = SUBJECTS[template].format(number=order.number)
        payment = order.payment
        facts = {
            "name": name,
            "card": f"{payment.brand.title()} card ending in {payment.last4}",
            "order": order,
            "subject": subject,
            "url": url or self._order_url(order),
            "declined": DECLINED.get(order.failure or "", DECLINED_SOMEHOW),
        }
        return Mail(
            to=email,
            subject=subject,
            text=_environment().get_template(f"{template}.txt").render(facts),
            html=_environment().get_template(f"{template}.html").render(facts),
            headers={"X-Ordermill-Order": order.id, "X-Ordermill-Template": template},
        )


@cache
def _environment() -> jinja2.Environment:
    """Return the templates of this process: they are compiled once, at the first mail."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("actors.notification", "templates"),
        autoescape=jinja2.select_autoescape(("html",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["amount"] = amount_text
    made.filters["line_total"] = _line_total
    return made


def _line_total(line: Line) -> str:
    return amount_text(Money(line.quantity * line.unit_price.amount, line.unit_price.currency))
