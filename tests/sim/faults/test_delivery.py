"""What becomes of deliveries: late, twice, out of order, and never meant for anybody."""

import pytest

from tests.sim.faults.small import strike


def test_what_is_delivered_again_while_it_is_worked_on_has_its_effect_once() -> None:
    struck = strike("redelivered", "shop", left=3)
    assert struck.effects == {"redelivered": 3}
    again = [one for one in struck.running.world.witness.broker.delivered if one.redelivered]
    assert len(again) >= 3
    assert struck.incidents("message.duplicate") >= 3
    assert struck.breaches == []


def test_deliveries_overtake_one_another() -> None:
    struck = strike("overtaken", "shop", late_s=1.0)
    assert struck.effects["overtaken"] >= 3
    assert struck.breaches == []


def test_what_comes_back_from_a_delay_queue_may_come_later() -> None:
    struck = strike("retry-late", "shop", late_s=1.0, for_s=8.0)
    assert struck.effects["retry-late"] >= 1
    assert struck.breaches == []


def test_a_lost_acknowledgement_brings_the_message_again() -> None:
    struck = strike("ack-lost", "shop", left=1, after_s=0.5)
    assert struck.effects == {"ack-lost": 1}
    again = [one for one in struck.running.world.witness.broker.delivered if one.redelivered]
    assert len(again) >= 1
    assert struck.breaches == []


@pytest.mark.parametrize(
    "manner", ["bad-json", "unknown-version", "unknown-type", "huge", "empty", "no-id"]
)
def test_a_message_that_nobody_can_process_is_parked(manner: str) -> None:
    struck = strike("poison", at_s=1.2, manner=manner, queue="payment")
    assert struck.effects == {"poison": 1}
    assert struck.running.world.ready_in("payment.dead") == 1
    assert struck.breaches == []
