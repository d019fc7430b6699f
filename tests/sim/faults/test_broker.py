"""What the broker does to a run: it stops taking messages, ends channels, loses queues."""

import pytest

from sim.plan import Order, Shape, World
from tests.sim.faults.small import MUG, QUICK, strike


def test_a_blocked_broker_takes_nothing_until_it_is_unblocked() -> None:
    struck = strike("blocked", for_s=1.5)
    assert struck.effects["blocked"] >= 1
    assert struck.breaches == []


@pytest.mark.parametrize("code", [404, 406])
def test_a_channel_that_the_broker_ends_is_replaced(code: int) -> None:
    struck = strike("channel-closed", "shop", at_s=1.2, code=code)
    assert struck.effects == {"channel-closed": 1}
    assert struck.breaches == []


def test_a_connection_that_an_operator_closes_comes_back() -> None:
    calm, struck = strike("wall-skew", "mailer", by_s=0.0), strike("connection-closed", "shop")
    assert struck.effects == {"connection-closed": 1}
    assert struck.incidents("broker.lost") == calm.incidents("broker.lost") + 1
    assert struck.breaches == []


def test_a_cancelled_consumer_consumes_again() -> None:
    struck = strike("consumer-cancelled", queue="payment")
    assert struck.effects == {"consumer-cancelled": 1}
    assert struck.breaches == []


def test_deliveries_that_nobody_acknowledges_in_time_cost_the_channel_and_come_again() -> None:
    struck = strike("ack-timeout", patience_s=0.002, queue="payment")
    assert struck.effects["ack-timeout"] >= 1
    assert struck.incidents("message.duplicate") >= 1
    assert struck.breaches == []


@pytest.mark.parametrize("kind", ["queue-purged", "queue-deleted"])
@pytest.mark.parametrize("shape", ["together", "apart"])
def test_what_an_operator_loses_he_offers_again(kind: str, shape: Shape) -> None:
    slow = {**QUICK, "payment.hold_s": 0.0, "broker.prefetch": 1, "runtime.lanes": 1}
    world = World(shape=shape, own_broker=shape == "together", settings=slow)
    orders = tuple(Order(number=n, at_s=1 + n / 100, items=MUG) for n in range(1, 7))
    struck = strike(kind, at_s=1.2, queue="payment", world=world, orders=orders)
    assert struck.effects == {kind: 1}
    assert struck.running.operator is not None
    assert struck.running.operator.offered >= 1
    assert struck.breaches == []


@pytest.mark.parametrize("own", [True, False], ids=["a node of its own", "embedded"])
def test_a_broker_that_dies_starts_again_with_what_it_had(own: bool) -> None:
    world = World(own_broker=own, settings=QUICK)
    target = "broker" if own else "shop"
    struck = strike("broker-restart", target, at_s=1.3, for_s=0.5, world=world)
    assert struck.effects == {"broker-restart": 1}
    assert struck.breaches == []
