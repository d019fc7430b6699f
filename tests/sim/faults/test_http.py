"""Requests and replies that get lost: asking again gives the first answer."""

import pytest

from sim.history import Answered, Sent
from sim.mutations.catalogue import MUTATIONS
from sim.mutations.patching import planted
from sim.plan import World
from tests.sim.faults.small import ORDERS, QUICK, Struck, strike

APART = World(shape="apart", settings=QUICK)


def unanswered(struck: Struck) -> int:
    """How many requests of customers got no answer."""
    history = struck.running.world.shop.history
    return sum(isinstance(one, Answered) and one.status == 0 for one in history)


@pytest.mark.parametrize("silent", [False, True], ids=["reset", "silent"])
@pytest.mark.parametrize("kind", ["request-lost", "reply-lost"])
def test_a_request_whose_answer_is_lost_is_sent_again(kind: str, silent: bool) -> None:
    struck = strike(kind, "customers|shop", left=1, silent=silent)
    assert struck.effects == {kind: 1}
    assert unanswered(struck) == 1
    assert struck.breaches == []


def test_a_client_that_goes_takes_its_request_with_it_not_its_command() -> None:
    struck = strike("client-gone", "customers|shop", left=1, after_s=0.004)
    assert struck.effects == {"client-gone": 1}
    assert unanswered(struck) == 1
    assert struck.breaches == []


def test_a_client_that_goes_between_two_steps_leaves_nothing_in_use() -> None:
    """With the library's pool as it is, there is a step at which a connection stays in use."""

    def gone_after(steps: int) -> Struck:
        going = {"world": APART, "orders": ORDERS[:1], "left": 1, "steps": (steps, steps + 1)}
        return strike("client-gone", "customers|gateway", **going)

    for steps in range(60):
        with planted(MUTATIONS["connection-kept-by-who-has-left"]):
            kept = gone_after(steps)
        if kept.breaches:
            break
    (breach,) = kept.breaches
    assert breach.startswith("nothing_is_held_for_who_has_left: gateway: ")
    assert breach.endswith("http_client_connections_in_use order-events is 1")
    struck = gone_after(steps)
    assert struck.effects == {"client-gone": 1, "client-gone/between two steps": 1}
    assert struck.breaches == []


def test_clients_that_only_look_go_between_two_steps_too() -> None:
    struck = strike("client-gone", "customers|shop", at_s=1.5, steps=(0, 9))
    history = struck.running.world.shop.history
    asked = sum(isinstance(one, Sent) for one in history)
    assert struck.effects["client-gone"] > unanswered(struck) > 0
    assert asked > 3
    assert struck.breaches == []


def test_a_flood_is_told_to_come_back_and_the_customers_are_served() -> None:
    world = World(own_broker=True, settings={**QUICK, "runtime.mailbox_max": 4})
    struck = strike("flood", for_s=2.0, requests=20, world=world)
    assert struck.effects["flood"] >= 10
    assert struck.breaches == []


def test_a_reply_is_late() -> None:
    struck = strike("reply-late", "customers|shop", late_s=0.5)
    assert struck.effects["reply-late"] >= 3
    assert unanswered(struck) == 0
    assert struck.breaches == []


def test_a_reply_that_is_later_than_patience_counts_for_none() -> None:
    struck = strike("reply-late", "customers|shop", late_s=12.0, left=1)
    assert unanswered(struck) == 1
    assert struck.breaches == []


@pytest.mark.parametrize("kind", ["request-lost", "reply-lost"])
def test_services_lose_requests_and_replies_of_one_another(kind: str) -> None:
    struck = strike(kind, "payment|order-events", left=2, world=APART)
    assert struck.effects == {kind: 2}
    assert struck.incidents("message.retry") >= 1
    assert struck.breaches == []
