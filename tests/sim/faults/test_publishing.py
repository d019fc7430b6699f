"""What becomes of publishes and confirms: nothing that happened stays unsaid."""

from sim.plan import Order
from tests.sim.faults.small import MUG, Struck, strike


def publishes(struck: Struck) -> int:
    """How often the message was sent that was sent most often (not counting the re-queued)."""
    sent = struck.running.world.witness.broker.written
    ids = [one.message_id for one in sent if ".retry." not in one.routing_key]
    return max(ids.count(one) for one in ids)


def test_a_message_that_is_lost_before_it_is_stored_is_sent_again() -> None:
    struck = strike("publish-lost", "shop", left=1)
    assert struck.effects == {"publish-lost": 1}
    assert publishes(struck) == 2
    assert struck.incidents("message.duplicate") == 0
    assert struck.breaches == []


def test_a_message_that_the_broker_refuses_is_sent_again() -> None:
    struck = strike("publish-refused", "shop", left=2)
    assert struck.effects == {"publish-refused": 2}
    assert struck.incidents("outbox.refused") >= 1
    assert publishes(struck) >= 2
    assert struck.breaches == []


def test_a_message_that_comes_back_is_not_taken_for_sent_although_it_is_acknowledged() -> None:
    struck = strike("publish-returned", "shop", left=1)
    assert struck.effects == {"publish-returned": 1}
    assert struck.incidents("outbox.refused") == 1
    assert struck.breaches == []


def test_a_message_whose_confirm_is_lost_is_sent_again_and_is_a_duplicate() -> None:
    struck = strike("confirm-lost", "shop", left=1)
    assert struck.effects == {"confirm-lost": 1}
    assert publishes(struck) == 2
    assert struck.incidents("message.duplicate") >= 1
    assert struck.breaches == []


def test_confirms_come_late_in_each_manner() -> None:
    for manner in ("one by one", "shuffled", "multiple"):
        struck = strike("confirms-late", "shop", late_s=0.3, manner=manner)
        assert struck.effects["confirms-late"] >= 1
        assert publishes(struck) == 1
        assert struck.breaches == []


def test_half_of_what_waits_is_confirmed_as_one_and_the_rest_is_sent_again() -> None:
    orders = tuple(Order(number=number, at_s=1.0, items=MUG) for number in range(1, 7))
    facts = {"late_s": 0.3, "manner": "half", "for_s": 1.5}
    struck = strike("confirms-late", "shop", orders=orders, **facts)
    assert struck.effects["confirms-late/multiple"] >= 1
    assert struck.result.probes["rest-of-a-batch-sent-again"] >= 1
    assert struck.breaches == []


def test_a_confirm_that_is_later_than_its_deadline_costs_a_second_publish() -> None:
    struck = strike("confirms-late", "shop", late_s=2.5, manner="one by one", for_s=1.0)
    assert publishes(struck) >= 2
    assert struck.breaches == []


def test_doubled_messages_are_duplicates_that_change_nothing() -> None:
    for after_s in (0.0, 3.0):
        struck = strike("duplicated", "shop", after_s=after_s)
        assert struck.effects["duplicated"] >= 5
        assert struck.incidents("message.duplicate") >= 5
        assert struck.breaches == []
