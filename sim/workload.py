"""What the customers of a seed do: who orders what, and which races they run against the services.

A change is refused from an event on (``payment-auth-in-progress``, say), and that event comes at a
time that follows from the settings: the order's, its hold, a few round trips. So half of the acts
are aimed at such an edge, from both sides of it; the others happen whenever, or when a customer
sees a status.
"""

import random
from typing import Any

import msgspec

from sim.plan import Act, Order

SKUS = ("MUG-1", "TEA-1", "POT-1", "CUP-2", "NOTE-1")
GOOD_CARDS = ("pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_refund_flaky")
BAD_CARDS = ("pm_card_declined", "pm_card_insufficient", "pm_card_flaky", "pm_card_slow")
POISONED_CARD = "pm_card_poison"
ACTIONS = ("cancel", "pay", "move", "ship")
_STATUSES = ("placed", "payment_pending", "paid", "preparing", "prepared", "cancelled")


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How the customers of one seed are. Shares are probabilities, times seconds.

    ``hold_s`` and ``pack_hold_s`` are the product's own settings, at which the races are aimed.
    ``hot``: the share of orders that get many acts; ``within_s``: all orders come within.
    """

    orders: int = 20
    within_s: float = 15.0
    bursts: int = 0
    hold_s: float = 5.0
    pack_hold_s: float = 5.0
    acts: float = 0.6
    hot: float = 0.1
    aimed: float = 0.5
    repeats: float = 0.15
    bad_cards: float = 0.15
    poisoned: float = 0.02
    actions: tuple[str, ...] = ACTIONS


def workload(rng: random.Random, manner: Manner) -> tuple[Order, ...]:
    """Draw the orders of a seed, in the order in which they come."""
    times = sorted(_times(rng, manner))
    return tuple(_order(rng, manner, number, at_s) for number, at_s in enumerate(times, 1))


def watched(rng: random.Random, orders: tuple[Order, ...]) -> tuple[Order, ...]:
    """Have some customers keep their order's page open, from some moment on; it may be twice."""
    share = rng.choice((0.0, 0.0, 0.1, 0.4))
    return tuple(
        msgspec.structs.replace(order, acts=(*order.acts, *_pages(rng)))
        if rng.random() < share
        else order
        for order in orders
    )


def _pages(rng: random.Random) -> tuple[Act, ...]:
    times = [rng.choice((0.0, rng.uniform(0, 10.0))) for _ in range(rng.choice((1, 1, 1, 2)))]
    return tuple(Act(do="watch", after_s=round(at_s, 4)) for at_s in times)


def _times(rng: random.Random, manner: Manner) -> list[float]:
    first = 0.5
    if not manner.bursts:
        return [first + rng.uniform(0, manner.within_s) for _ in range(manner.orders)]
    bursts = [first + rng.uniform(0, manner.within_s) for _ in range(manner.bursts)]
    return [rng.choice(bursts) + rng.uniform(0, 0.01) for _ in range(manner.orders)]


def _order(rng: random.Random, manner: Manner, number: int, at_s: float) -> Order:
    skus = rng.sample(SKUS, rng.randrange(1, 4))
    again, twins = _repeats(rng, manner)
    return Order(
        number=number,
        at_s=round(at_s, 4),
        items=tuple((sku, rng.randrange(1, 5)) for sku in skus),
        card=_card(rng, manner),
        acts=_acts(rng, manner),
        again=again,
        twins=twins,
        wrong=int(rng.random() < manner.repeats / 3),
    )


def _card(rng: random.Random, manner: Manner) -> str:
    chance = rng.random()
    if chance < manner.poisoned:
        return POISONED_CARD
    bad = chance < manner.poisoned + manner.bad_cards
    return rng.choice(BAD_CARDS if bad else GOOD_CARDS)


def _acts(rng: random.Random, manner: Manner) -> tuple[Act, ...]:
    if rng.random() < manner.hot:
        count = rng.randrange(3, 8)
    else:
        count = int(rng.random() < manner.acts) + int(rng.random() < manner.acts / 3)
    return tuple(_act(rng, manner) for _ in range(count))


def _act(rng: random.Random, manner: Manner) -> Act:
    do: Any = rng.choice(manner.actions)
    again, twins = _repeats(rng, manner)
    after_s, on = _when(rng, manner, do)
    return Act(
        do=do,
        after_s=round(after_s, 4),
        on=on,
        card=rng.choice(GOOD_CARDS) if do == "pay" else "",
        again=again,
        twins=twins,
        wrong=int(do != "ship" and rng.random() < manner.repeats / 3),
    )


def _when(rng: random.Random, manner: Manner, do: str) -> tuple[float, str]:
    """Draw when: aimed at an edge, or on a status, or at any time."""
    if do == "ship":
        return rng.choice((0.0, 0.0, 2.0)), rng.choice(("prepared", "prepared", "prepared", "paid"))
    if rng.random() < manner.aimed:
        return max(0.0, rng.choice(_edges(manner, do)) + rng.gauss(0, 0.08)), ""
    if rng.random() < 0.4:
        return rng.uniform(0, 0.5), rng.choice(_STATUSES)
    return rng.uniform(0, 2 + manner.hold_s + manner.pack_hold_s), ""


def _edges(manner: Manner, do: str) -> tuple[float, ...]:
    """Return when this act begins to be refused, or to matter, counted from the order's answer.

    An event takes about 50 ms to its service; taking the money three round trips.
    """
    paying = manner.hold_s + 0.05
    paid = paying + 0.1
    packing = paid + manner.pack_hold_s + 0.05
    return {"pay": (paying,), "move": (packing,)}.get(do, (0.0, paying, paid, packing))


def _repeats(rng: random.Random, manner: Manner) -> tuple[int, int]:
    again = int(rng.random() < manner.repeats) * rng.randrange(1, 3)
    return again, int(rng.random() < manner.repeats) * rng.randrange(1, 4)
