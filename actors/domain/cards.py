"""The sandbox's test cards: which number gives which provider token, and what a token may do.

Numbers keep the meaning that Stripe's documentation gives them; behaviours that only this sandbox
has are reachable by token alone. Card numbers stop at the gateway, which swaps them for a token.
"""

import msgspec


class TestCard(msgspec.Struct, frozen=True):
    """One behaviour of the sandbox: its token, the numbers that map to it, what happens."""

    __test__ = False

    token: str
    effect: str
    number: str | None = None
    brand: str = "visa"

    @property
    def last4(self) -> str:
        """The last four digits of the number, or 0000 for a behaviour without one."""
        return self.number[-4:] if self.number else "0000"


TEST_CARDS: tuple[TestCard, ...] = (
    TestCard("pm_card_visa", "approved", "4242424242424242"),
    TestCard("pm_card_declined", "declined: card_declined", "4000000000000002"),
    TestCard("pm_card_insufficient", "declined: insufficient_funds", "4000000000009995"),
    TestCard("pm_card_expired", "declined: expired_card", "4000000000000069"),
    TestCard("pm_card_cvc", "declined: incorrect_cvc", "4000000000000127"),
    TestCard("pm_card_processing", "declined: processing_error", "4000000000000119"),
    TestCard("pm_card_flaky", "processor unreachable twice, then approved"),
    TestCard("pm_card_refund_flaky", "approved; a refund fails three times, then succeeds"),
    TestCard("pm_card_slow", "approved after 20 seconds"),
    TestCard("pm_card_poison", "the answer cannot be processed: the message is parked"),
)

CARDS_BY_NUMBER = {card.number: card for card in TEST_CARDS if card.number}
CARDS_BY_TOKEN = {card.token: card for card in TEST_CARDS}

DECLINES = {
    card.token: card.effect.removeprefix("declined: ")
    for card in TEST_CARDS
    if card.effect.startswith("declined: ")
}
