"""A card becomes a token: from here on the number exists nowhere in the system."""

from datetime import UTC, datetime

from actors.domain.cards import CARDS_BY_NUMBER, CARDS_BY_TOKEN, TestCard
from actors.domain.order_events import PaymentDetails
from actors.domain.values import luhn_valid
from actors.gateway.problems import FieldError, invalid
from actors.gateway.requests import Card, Payment
from runtime.errors import Rejection


def tokenise(payment: Payment, now_s: float, pointer: str = "#") -> PaymentDetails:
    """Return what the vault keeps of a card; Rejection(payment-method-invalid).

    ``pointer`` is where the payment stands in the request's body.
    """
    if payment.card is not None:
        card = _by_number(payment.card, now_s, f"{pointer}/card")
    else:
        found = CARDS_BY_TOKEN.get(payment.token or "")
        if found is None:
            raise _refused("unknown-token", "is not a known token", f"{pointer}/token")
        card = found
    return PaymentDetails(card.token, card.brand, card.last4)


def _by_number(card: Card, now_s: float, pointer: str) -> TestCard:
    now, digits = datetime.fromtimestamp(now_s, UTC), card.digits
    found = CARDS_BY_NUMBER.get(digits)
    if found is None and luhn_valid(digits):
        raise _refused("unknown-card", "is not a test card", f"{pointer}/number")
    if found is None:
        raise _refused("check-digit", "has a wrong check digit", f"{pointer}/number")
    if (card.exp_year, card.exp_month) < (now.year, now.month):
        raise _refused("expired", "is in the past", f"{pointer}/exp_month")
    return found


def _refused(code: str, detail: str, pointer: str) -> Rejection:
    detail = f"{detail}; in test mode GET /v1/test-cards lists those that work"
    return invalid(FieldError(code, detail, pointer=pointer), code="payment-method-invalid")
