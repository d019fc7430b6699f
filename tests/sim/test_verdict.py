"""A run is judged: a sound one passes with cases for the claims, a broken product does not."""

import msgspec
import pytest

from runtime.outbox import Relay
from sim.history import commands
from sim.mutations.catalogue import MUTATIONS
from sim.mutations.patching import planted
from sim.plan import Act, Fault, Order, Plan, World
from sim.run import Result, Running, run
from tests.sim.plans import MUG, kill, plan

RACES = (
    Order(number=1, at_s=0.5, items=MUG, acts=(Act(do="ship", on="prepared"),), again=1),
    Order(number=2, at_s=0.6, items=MUG, acts=(Act(do="cancel", on="paid"),)),
    Order(number=3, at_s=0.7, items=MUG, card="pm_card_declined", twins=1),
    Order(
        number=4,
        at_s=0.8,
        items=MUG,
        acts=(Act(do="pay", card="pm_card_refund_flaky"), Act(do="cancel", after_s=3.2)),
    ),
    Order(
        number=5,
        at_s=0.9,
        items=MUG,
        acts=(
            *(Act(do="move"), Act(do="ship", on="prepared"), Act(do="cancel", on="prepared")),
            Act(do="watch"),
        ),
    ),
    Order(number=6, at_s=1.0, items=MUG, card="pm_card_poison"),
)
# Cancels and moves find the order still open: payment and shipping wait before they begin.
HELD = World(settings={"payment.hold_s": 1, "shipping.hold_s": 3})
# Only actors that crash need restarts.
NOT_HERE = {"restarts_stay_within_their_intensity"}


@pytest.fixture(scope="module")
def sound() -> Result:
    faults = (kill(1, 3.0), Fault(number=2, kind="freeze", at_s=5.0, for_s=1.0, target="provider"))
    made = Plan(
        scenario="everything", seed=5, world=HELD, orders=RACES, faults=faults, safety_s=12.0
    )
    return run(made)


def test_a_run_that_keeps_every_promise_passes(sound: Result) -> None:
    assert sound.violations == []


def test_nearly_every_claim_has_cases_in_one_run_of_races(sound: Result) -> None:
    assert {name for name, cases in sound.cases.items() if not cases} == NOT_HERE


def test_a_row_that_leaves_the_outbox_unconfirmed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Relay._send

    async def send_and_believe(relay: Relay) -> Exception | None:
        for key, lane in relay._lanes.items():
            if lane.row is not None and (key, lane) not in relay._confirmed:
                relay._confirmed.append((key, lane))
        await relay._remove_confirmed()
        return await send(relay)

    monkeypatch.setattr(Relay, "_send", send_and_believe)
    result = run(msgspec.structs.replace(plan(), liveness_s_max=20.0))
    names = {violation.name for violation in result.violations}
    assert "an_outbox_row_leaves_only_after_an_unreturned_ack" in names
    assert "comes-to-rest" in names


@pytest.mark.parametrize("mutation", ["", "stopping-counts-as-failing"])
def test_a_stop_in_the_midst_of_work_counts_no_attempt(mutation: str) -> None:
    """Three payments wait for a slow card when the shop is told to stop."""
    slow = tuple(
        Order(number=number, at_s=0.5 + 0.01 * number, items=MUG, card="pm_card_slow")
        for number in (1, 2, 3)
    )
    stop = Fault(
        number=1, kind="sigterm", at_s=3.0, for_s=1.0, target="shop", facts={"grace_s": 30.0}
    )
    made = plan(orders=slow, faults=(stop,))
    made = msgspec.structs.replace(made, world=World(settings={"payment.hold_s": 0}))
    with planted(MUTATIONS.get(mutation)):
        result = run(made)
    assert result.probes["told-to-stop-with-deliveries-in-hand"] == 1
    names = {violation.name for violation in result.violations}
    assert ("stopping_raises_no_attempt" in names) == bool(mutation)
    assert bool(names) == bool(mutation)


def test_who_is_stuck_and_what_it_waits_for_is_named() -> None:
    """The provider is silent for ever: the first order waits for it, and its copy for its time."""
    orders = (Order(number=1, at_s=0.5, items=MUG),)

    def silence(running: Running) -> None:
        running.world.nodes["provider"].stays_down = True

    made = plan(orders=orders, faults=(kill(1, 0.1, "provider"),))
    result = run(msgspec.structs.replace(made, liveness_s_max=150.0), attach=silence)
    (stuck,) = [one for one in result.violations if one.name == "comes-to-rest"]
    assert stuck.kind == "liveness"
    assert stuck.text.startswith("order 1001 (ord_")
    assert "payment: order-created is requeued since" in stuck.text
    assert "lies in payment.retry.60s until" in stuck.text
    assert "holds payment-auth-in-progress" in stuck.text
    assert stuck.text.endswith("down: provider")


@pytest.mark.parametrize("service", ["shipping", "notification"])
def test_what_a_dead_service_leaves_is_not_held_against_the_others(service: str) -> None:
    world = World(shape="apart", ending="service-stays-dead", dead_service=service)
    made = Plan(scenario="everything", seed=3, world=world, orders=RACES[:2], safety_s=6.0)
    result = run(made)
    assert result.violations == []
    assert "the_outbox_is_empty" in result.cases


def test_who_was_told_before_a_service_died_is_not_waited_for_when_he_repeats_it() -> None:
    world = World(shape="apart", ending="service-stays-dead", dead_service="shipping")
    asks = Order(number=1, at_s=0.5, items=MUG, acts=(Act(do="ship", again=100),))
    made = Plan(scenario="everything", seed=3, world=world, orders=(asks,), safety_s=3.0)
    seen: list[Running] = []
    assert run(made, attach=seen.append).violations == []
    (ship,) = [one for one in commands(seen[0].world.shop.history) if one.kind == "ship"]
    assert ship.definite[0].status == 409
    assert ship.answers[-1].status == 503
