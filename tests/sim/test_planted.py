"""A planted race, end to end: caught, shrunk to what it takes, and gone without the defect."""

from pathlib import Path

import msgspec
import pytest

from sim.corpus import read_corpus
from sim.outcome import AS_DRAWN, Task, Wishes, perform
from sim.plan import Act, Fault, Order, Plan
from sim.shrink import Shrinker
from sim.simpler import size_of
from tests.sim.plans import MUG, SHIPPED, kill, plan

SEEDS = Path("tests/seeds")
OWED = "cancelled_and_captured_is_refunded"


def _padded() -> Plan:
    """Return the pinned race P3 among other orders and faults."""
    pinned = read_corpus(SEEDS)["capture-answer-lost-then-cancelled"].plan
    others = tuple(
        Order(number=20 + n, at_s=2.0 + 5 * n, items=MUG, acts=(SHIPPED, Act(do="look")))
        for n in range(5)
    )
    kills = tuple(kill(30 + n, 25.0 + 3 * n) for n in range(5))
    return msgspec.structs.replace(
        pinned,
        orders=pinned.orders + others,
        faults=pinned.faults + kills,
        liveness_s_max=120.0,
    )


class SmallEnough(Exception):
    """It is what was asked for: rounder times are not waited for."""


def test_a_planted_p3_is_caught_and_becomes_small() -> None:
    def tell(_line: str) -> None:
        faults, orders, _ = size_of(shrinker.plan)
        if faults <= 3 and orders <= 3:
            raise SmallEnough

    planted = Task("cancel-races", 1, Wishes(mutation="refund-only-on-cancellation"), _padded())
    shrinker = Shrinker(planted, OWED, budget_s=240.0, tell=tell)
    with pytest.raises(SmallEnough):
        shrinker.run()
    small = msgspec.structs.replace(planted, seed=shrinker.plan.seed, plan=shrinker.plan)
    assert OWED in {found.name for found in perform(small).violations}
    whole = msgspec.structs.replace(small, wishes=AS_DRAWN)
    assert perform(whole).violations == []


def test_a_breach_is_seen_where_it_happened_and_again_there() -> None:
    twice = Fault(number=1, kind="duplicated", at_s=0.4, for_s=6.0, target="shop")
    task = Task("everything", 3, Wishes(mutation="no-inbox"), plan(3, faults=(twice,)))
    outcome, again = perform(task), perform(task)
    found = [one for one in outcome.violations if one.name == "a_message_is_done_once"]
    assert found
    assert all(0 < one.at < 6.0 and one.step > 0 for one in found)
    assert found[0].at < outcome.virtual_s - 1.0
    assert again.violations == outcome.violations
    assert again.digest == outcome.digest
