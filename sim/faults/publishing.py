"""What becomes of publishes and of their confirms, between a publisher and the broker.

``share`` is how likely each one is hit, ``only`` a routing key, ``left`` how many at most, and
``skip`` how many pass first.
"""

import random
from functools import partial

from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, Strike
from sim.faults.rules import meddle
from sim.plan import World
from sim.taps.amqp import AmqpTap
from sim.taps.unit import Unit


def publish_lost(strike: Strike) -> Heal | None:
    """Messages are lost before the broker has stored them; nobody is told."""

    def lose(_tap: AmqpTap, unit: Unit) -> None:
        strike.happened(unit.message_id)

    return meddle(strike, "publish", lose)


def publish_refused(strike: Strike) -> Heal | None:
    """The broker refuses messages (nack): a queue is full, or it has an internal error."""

    def refuse(tap: AmqpTap, unit: Unit) -> None:
        if not unit.tag:
            tap.publish(unit)
            return
        tap.refuse(unit)
        strike.happened(unit.message_id)

    return meddle(strike, "publish", refuse)


def publish_returned(strike: Strike) -> Heal | None:
    """Messages come back (basic.return) and are acknowledged then: no queue is bound."""

    def send_back(tap: AmqpTap, unit: Unit) -> None:
        if not unit.tag:
            tap.publish(unit)
            return
        tap.send_back(unit)
        strike.happened(unit.message_id)

    return meddle(strike, "publish", send_back)


def confirm_lost(strike: Strike) -> Heal | None:
    """The broker has stored messages, and its confirms are lost."""

    def lose(_tap: AmqpTap, unit: Unit) -> None:
        strike.happened(unit.tag)

    return meddle(strike, "confirm", lose)


def confirms_late(strike: Strike) -> Heal | None:
    """Confirms come ``late_s`` late: one by one, shuffled, or as one for ``multiple`` publishes.

    In the manner ``half`` the first half of them is confirmed as one, and the rest never is.
    """
    late_s, manner = strike.fact("late_s", 0.5), strike.fact("manner", "shuffled")
    waiting: dict[AmqpTap, list[Unit]] = {}

    def keep(tap: AmqpTap, unit: Unit) -> None:
        waiting.setdefault(tap, []).append(unit)
        if len(waiting[tap]) == 1:
            tap.later(late_s, lambda: let_go(tap))

    def let_go(tap: AmqpTap) -> None:
        units = waiting.pop(tap)
        if manner == "shuffled":
            strike.rng.shuffle(units)
        together = _together(units) if manner in ("multiple", "half") else []
        if manner == "half" and len(together) > 2:
            units = together = together[: len(together) // 2]
        if together:
            tap.confirm(together[-1], multiple=True)
        for unit in units[len(together) :]:
            tap.confirm(unit)
        strike.happened(len(units), variety="multiple" if together else "")

    return meddle(strike, "confirm", keep)


def _together(units: list[Unit]) -> list[Unit]:
    """Return as many of these, from the first on, as one confirm can truly settle: two or more."""
    units.sort(key=lambda unit: unit.tag)
    numbers, count = units[0].numbers, 0
    for unit, number in zip(units, sorted(numbers.open), strict=False):
        if (unit.numbers, unit.tag, unit.positive) != (numbers, number, True):
            break
        count += 1
    return units[:count] if count > 1 else []


def duplicated(strike: Strike) -> Heal | None:
    """The broker gets messages twice: at once, or again ``after_s`` later, as if they were new."""
    after_s = strike.fact("after_s", 0.0)
    board = strike.board

    def again(tap: AmqpTap, unit: Unit) -> None:
        live = [tap] if tap.open else [one for one in board.amqp_taps() if one.open]
        if live:
            live[0].publish_strange(unit.exchange, unit.key, unit.frames[1:])
            strike.happened(unit.message_id)

    def publish(tap: AmqpTap, unit: Unit) -> None:
        tap.publish(unit)
        if after_s:
            board.later(after_s, partial(again, tap, unit))
        else:
            again(tap, unit)

    return meddle(strike, "publish", publish)


def _draw_share(rng: random.Random, world: World) -> Draft:
    facts = {"share": rng.choice((0.05, 0.2, 0.5, 1.0))}
    return Draft(
        target=rng.choice(targets.publishers(world)), for_s=rng.uniform(1, 15), facts=facts
    )


def _draw_late(rng: random.Random, world: World) -> Draft:
    facts = {
        "late_s": rng.choice((0.05, 0.5, 4.0, 12.0)),
        "manner": rng.choice(("one by one", "shuffled", "multiple", "half")),
    }
    return Draft(
        target=rng.choice(targets.publishers(world)), for_s=rng.uniform(2, 15), facts=facts
    )


def _draw_duplicated(rng: random.Random, world: World) -> Draft:
    facts = {
        "share": rng.choice((0.1, 0.5, 1.0)),
        "after_s": rng.choice((0.0, 0.0, 0.5, 5.0, 45.0)),
    }
    return Draft(
        target=rng.choice(targets.publishers(world)), for_s=rng.uniform(2, 20), facts=facts
    )


KINDS = (
    Kind("publish-lost", publish_lost, _draw_share, "amqp"),
    Kind("publish-refused", publish_refused, _draw_share, "amqp"),
    Kind("publish-returned", publish_returned, _draw_share, "amqp"),
    Kind("confirm-lost", confirm_lost, _draw_share, "amqp"),
    Kind("confirms-late", confirms_late, _draw_late, "amqp"),
    Kind("duplicated", duplicated, _draw_duplicated, "amqp"),
)
