"""What becomes of deliveries and of their acknowledgements; and messages that nobody published.

``share``, ``left`` and ``skip`` are as in `sim.faults.publishing`; ``only`` is a queue.
"""

import random
from datetime import UTC, datetime

from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, NoVictim, Strike
from sim.faults.rules import meddle
from sim.plan import World
from sim.seed import EPOCH_S
from sim.taps import frames
from sim.taps.amqp import OWN_CHANNEL, AmqpTap
from sim.taps.unit import Unit

HUGE_BYTES = 300_000
POISON = "poison-"
"""What the ids of messages begin with that nobody published."""


def redelivered(strike: Strike) -> Heal | None:
    """The broker delivers messages again that are being worked on (redelivered, after_s later)."""
    after_s = strike.fact("after_s", 0.0)

    def deliver(tap: AmqpTap, unit: Unit) -> None:
        tag = tap.deliver(unit)
        if after_s:
            tap.later(after_s, lambda: take_back(tap, unit, tag))
        else:
            take_back(tap, unit, tag)

    def take_back(tap: AmqpTap, unit: Unit, tag: int) -> None:
        if tap.give_back(unit, tag):
            strike.happened(unit.message_id)

    return meddle(strike, "deliver", deliver)


def overtaken(strike: Strike) -> Heal | None:
    """Deliveries are up to ``late_s`` late, each for itself: others overtake them."""
    late_s = strike.fact("late_s", 1.0)

    def keep(tap: AmqpTap, unit: Unit) -> None:
        strike.happened(unit.message_id)
        tap.later(strike.rng.uniform(0, late_s), lambda: tap.deliver(unit))

    return meddle(strike, "deliver", keep)


def retry_late(strike: Strike) -> Heal | None:
    """Messages that come back from a delay queue come ``late_s`` later than its time."""
    late_s = strike.fact("late_s", 5.0)

    def keep(tap: AmqpTap, unit: Unit) -> None:
        if "x-death" in (unit.properties().headers or {}):
            strike.happened(unit.message_id)
            tap.later(late_s, lambda: tap.deliver(unit))
        else:
            tap.deliver(unit)

    return meddle(strike, "deliver", keep)


def ack_lost(strike: Strike) -> Heal | None:
    """Acknowledgements are lost; the channel ends ``after_s`` later, and all comes again."""
    after_s = strike.fact("after_s", 1.0)

    def lose(tap: AmqpTap, unit: Unit) -> None:
        tap.lose_ack(unit)
        tap.later(after_s, tap.wire.reset)
        strike.happened(unit.queue)

    return meddle(strike, "ack", lose)


def poison(strike: Strike) -> Heal | None:
    """Somebody publishes a message that no service can process: bad JSON, unknown, or huge."""
    manner, queue = strike.fact("manner", "bad-json"), strike.fact("queue", "payment")
    taps = [tap for tap in strike.board.amqp_taps() if tap.open]
    if not taps:
        raise NoVictim(queue)
    message_id = None if manner == "no-id" else f"{POISON}{strike.fault.number}"
    types = {"unknown-version": "order-created/v99", "unknown-type": "order-painted/v1"}
    bodies = {"bad-json": b'{"order_id": ', "huge": b"x" * HUGE_BYTES, "empty": b""}
    content = frames.content(
        OWN_CHANNEL,
        message_id,
        types.get(manner, "order-created/v1"),
        datetime.fromtimestamp(EPOCH_S + strike.engine.now, UTC),
        bodies.get(manner, b'{"order_id":"ord_0","version":1}'),
    )
    taps[0].publish_strange("", queue, content)
    strike.happened(manner, queue)
    return None


def _draw_queue(rng: random.Random, world: World) -> tuple[str, dict[str, object]]:
    queue = rng.choice(targets.QUEUES)
    return targets.consumer(world, queue), {"only": queue, "share": rng.choice((0.1, 0.4, 1.0))}


def _draw_redelivered(rng: random.Random, world: World) -> Draft:
    target, facts = _draw_queue(rng, world)
    facts["after_s"] = rng.choice((0.0, 0.01, 0.1, 2.0))
    return Draft(target=target, for_s=rng.uniform(2, 15), facts={**facts, "left": 20})


def _draw_overtaken(rng: random.Random, world: World) -> Draft:
    target, facts = _draw_queue(rng, world)
    facts["late_s"] = rng.choice((0.1, 1.0, 10.0))
    return Draft(target=target, for_s=rng.uniform(2, 20), facts=facts)


def _draw_retry_late(rng: random.Random, world: World) -> Draft:
    target, facts = _draw_queue(rng, world)
    return Draft(
        target=target,
        for_s=rng.uniform(20, 50),
        facts={**facts, "share": 1.0, "late_s": rng.choice((0.5, 5.0, 20.0))},
    )


def _draw_ack_lost(rng: random.Random, world: World) -> Draft:
    target, facts = _draw_queue(rng, world)
    after_s = rng.choice((0.01, 0.5, 3.0))
    return Draft(
        target=target, for_s=rng.uniform(1, 8), facts={**facts, "after_s": after_s, "left": 5}
    )


def _draw_poison(rng: random.Random, world: World) -> Draft:
    manners = ("bad-json", "unknown-version", "unknown-type", "huge", "empty", "no-id")
    return Draft(facts={"manner": rng.choice(manners), "queue": rng.choice(targets.QUEUES)})


KINDS = (
    Kind("redelivered", redelivered, _draw_redelivered, "amqp"),
    Kind("overtaken", overtaken, _draw_overtaken, "amqp"),
    Kind("retry-late", retry_late, _draw_retry_late, "amqp"),
    Kind("ack-lost", ack_lost, _draw_ack_lost, "amqp"),
    Kind("poison", poison, _draw_poison, "amqp"),
)
