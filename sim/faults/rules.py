"""Rules on the conversations with the broker, as faults: in force until they are healed."""

from collections.abc import Callable
from typing import Any

from sim.faults.kind import Heal, Strike
from sim.taps.amqp import AmqpTap
from sim.taps.unit import On, Rule, Unit

Act = Callable[[AmqpTap, Unit], None]


def in_force(strike: Strike, rule: Rule) -> Heal:
    """Put a rule in force; return what takes it out again."""
    strike.board.rules.add(rule)
    return lambda: strike.board.rules.drop(rule)


def meddle(strike: Strike, on: On, act: Act, **limits: Any) -> Heal:
    """Put a rule in force whose limits are the fault's own facts (``only``, ``share``, ...)."""
    facts = strike.fault.facts
    named = {name: facts[name] for name in ("only", "share", "skip", "left") if name in facts}
    rule = Rule(on, act, strike.rng, node=strike.fault.target, **(named | limits))
    return in_force(strike, rule)
