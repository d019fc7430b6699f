"""What the broker does: it stops taking publishes, ends channels and consumers, loses queues."""

import random

from sim.chance import Chance
from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, NoVictim, Strike
from sim.faults.rules import in_force
from sim.plan import World
from sim.taps import frames
from sim.taps.amqp import AmqpTap
from sim.taps.channel import ChannelNumbers
from sim.taps.unit import Rule, Unit

_CLOSINGS = {
    404: "NOT_FOUND - no queue 'payment' in vhost '/'",
    406: "PRECONDITION_FAILED - unknown delivery tag 7",
}
_TOO_LATE = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out"


def _taps(strike: Strike, client: str = "") -> list[AmqpTap]:
    """Return the open connections to the broker; `NoVictim` without any."""
    taps = [tap for tap in strike.board.amqp_taps(client) if tap.open]
    if not taps:
        raise NoVictim(strike.fault.target)
    return taps


def blocked(strike: Strike) -> Heal | None:
    """The broker has an alarm (memory, disk): it blocks every connection that publishes."""
    waiting: dict[AmqpTap, None] = {}

    def block(tap: AmqpTap, unit: Unit) -> None:
        if tap not in waiting:
            waiting[tap] = None
            tap.tell_client(frames.blocked())
            tap.line.keep(to_server=True)
            strike.happened(unit.key)
        tap.publish(unit)

    end = in_force(strike, Rule("publish", block, Chance(strike.rng)))

    def heal() -> None:
        end()
        for tap in waiting:
            tap.line.release()
            if tap.live:
                tap.tell_client(frames.unblocked())

    return heal


def channel_closed(strike: Strike) -> Heal | None:
    """The broker ends a channel with an error (``code`` 404 or 406)."""
    code = strike.fact("code", 406)
    victims = [
        (tap, numbers)
        for tap in _taps(strike, strike.fault.target)
        for numbers in tap.channels.values()
        if numbers.confirming or numbers.queues
    ]
    if not victims:
        raise NoVictim(strike.fault.target)
    tap, numbers = strike.rng.choice(victims)
    if tap.close(numbers, code, _CLOSINGS[code]):
        strike.happened(code, len(numbers.deliveries), len(numbers.publishes))
    return None


def connection_closed(strike: Strike) -> Heal | None:
    """An operator closes a connection: the client is told (320)."""
    tap = strike.rng.choice(_taps(strike, strike.fault.target))
    tap.close_connection(320, "CONNECTION_FORCED - Closed via management plugin")
    strike.happened()
    return None


def consumer_cancelled(strike: Strike) -> Heal | None:
    """The broker cancels the consumer of a queue: its leader has moved, say."""
    queue = strike.fact("queue", "payment")
    if not any(tap.cancel(queue) for tap in _taps(strike)):
        raise NoVictim(queue)
    strike.happened(queue)
    return None


def ack_timeout(strike: Strike) -> Heal | None:
    """Deliveries that are not acknowledged within ``patience_s`` cost the channel (406)."""
    patience_s = strike.fact("patience_s", 1.0)

    def deliver(tap: AmqpTap, unit: Unit) -> None:
        numbers, tag = unit.numbers, tap.deliver(unit)
        tap.later(patience_s, lambda: _too_late(strike, tap, numbers, tag))

    return in_force(
        strike, Rule("deliver", deliver, Chance(strike.rng, only=strike.fact("queue", "")))
    )


def _too_late(strike: Strike, tap: AmqpTap, numbers: ChannelNumbers, tag: int) -> None:
    if tag in numbers.deliveries and tap.close(numbers, 406, _TOO_LATE):
        strike.happened(tag)


def purged(strike: Strike) -> Heal | None:
    """An operator purges a queue: what was ready in it is lost, after it was confirmed."""
    queue = strike.fact("queue", "payment")
    lost = strike.world.ready_in(queue)
    _taps(strike)[0].operate(frames.purge(queue))
    if lost:
        strike.happened(queue, lost)
    return None


def deleted(strike: Strike) -> Heal | None:
    """An operator deletes a queue with all that is in it; its consumers are told."""
    queue = strike.fact("queue", "payment")
    _taps(strike)[0].operate(frames.delete(queue))
    strike.happened(queue)
    return None


def _draw_client(rng: random.Random, world: World) -> Draft:
    facts = {"code": rng.choice((404, 406))}
    return Draft(target=rng.choice(targets.broker_clients(world)), facts=facts)


def _draw_queue(rng: random.Random, world: World) -> Draft:
    return Draft(facts={"queue": rng.choice(targets.QUEUES)})


def _draw_blocked(rng: random.Random, world: World) -> Draft:
    return Draft(for_s=rng.choice((2.0, 8.0, 20.0)))


def _draw_ack_timeout(rng: random.Random, world: World) -> Draft:
    facts = {"patience_s": rng.choice((0.05, 0.5, 5.0)), "queue": rng.choice(targets.QUEUES)}
    return Draft(for_s=rng.uniform(2, 10), facts=facts)


KINDS = (
    Kind("blocked", blocked, _draw_blocked, "amqp"),
    Kind("channel-closed", channel_closed, _draw_client, "amqp"),
    Kind("connection-closed", connection_closed, _draw_client, "amqp"),
    Kind("consumer-cancelled", consumer_cancelled, _draw_queue, "amqp"),
    Kind("ack-timeout", ack_timeout, _draw_ack_timeout, "amqp"),
    Kind("queue-purged", purged, _draw_queue, "amqp"),
    Kind("queue-deleted", deleted, _draw_queue, "amqp"),
)
