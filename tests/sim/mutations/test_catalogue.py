"""Planted defects: each has a claim, each is undone, and none is caught for its own clumsiness."""

import re
from typing import Any

import pytest

import runtime.service
from sim.mutations.catalogue import HUNTED_IN, MUTATIONS, claim_of
from sim.mutations.patching import Patch, planted
from sim.outcome import Task, Wishes, perform
from sim.plan import Act, Fault, Order
from sim.scenarios import SCENARIOS
from tests.sim.plans import CANCELLED, MUG, SHIPPED, kill, plan

# What a defect raises that was written for other code than there is now.
_CLUMSY = re.compile(r"AttributeError|NameError|TypeError|UnboundLocalError|ImportError")


class _Noting(Patch):
    """Keeps what is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: object) -> Any:
        before = super().set(owner, name, value)
        self.replaced.append((owner, name, before))
        return before


def test_every_mutation_says_what_is_wrong_and_is_hunted_somewhere() -> None:
    assert all(claim_of(name).endswith((".", ")")) for name in MUTATIONS)
    assert set(HUNTED_IN) <= set(MUTATIONS)
    assert set(HUNTED_IN.values()) <= set(SCENARIOS)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_replaces_something_and_gives_it_back(name: str) -> None:
    patch = _Noting()
    MUTATIONS[name](patch)
    assert patch.replaced
    patch.undo()
    for owner, attribute, before in patch.replaced:
        now = owner.__dict__[attribute] if isinstance(owner, type) else getattr(owner, attribute)
        assert now is before


def test_a_defect_is_gone_after_a_run_that_raises() -> None:
    before = runtime.service.claim
    with pytest.raises(ZeroDivisionError), planted(MUTATIONS["no-inbox"]):
        _raise_if(runtime.service.claim is not before)
    assert runtime.service.claim is before


def _raise_if(changed: bool) -> None:
    if changed:
        raise ZeroDivisionError


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_a_mutation_breaks_is_not_itself(name: str) -> None:
    orders = (
        Order(number=1, at_s=0.5, items=MUG, acts=(SHIPPED, Act(do="pay", after_s=0.1))),
        Order(number=2, at_s=0.9, items=MUG, acts=(CANCELLED,)),
        Order(number=3, at_s=1.0, items=MUG, card="pm_card_declined"),
    )
    faults = (
        kill(1, 1.4),
        Fault(number=2, kind="duplicated", at_s=0.5, for_s=8.0, target="shop"),
        Fault(number=3, kind="reset", at_s=2.5, target="shop|shop"),
        Fault(number=4, kind="sigterm", at_s=3.0, for_s=0.5, target="shop"),
    )
    made = plan(3, orders=orders, faults=faults, safety_s=12)
    outcome = perform(Task("everything", 3, Wishes(mutation=name), made))
    told = [found.text for found in outcome.violations]
    assert [text for text in (*told, *outcome.mishaps) if _CLUMSY.search(text)] == []
