"""Requests and replies that get lost: asking again gives the first answer."""

import pytest

from sim.history import Answered
from sim.plan import World
from tests.sim.faults.small import QUICK, Struck, strike

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
