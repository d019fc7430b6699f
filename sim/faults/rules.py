"""Rules on the conversations with the broker, as faults: in force until they are healed."""

from collections.abc import Callable

from sim.faults.kind import Heal, Strike
from sim.taps.amqp import AmqpTap
from sim.taps.unit import On, Rule, Unit

Act = Callable[[AmqpTap, Unit], None]


def in_force(strike: Strike, rule: Rule) -> Heal:
    """Put a rule in force; return what takes it out again."""
    strike.board.rules.add(rule)
    return lambda: strike.board.rules.drop(rule)


def meddle(strike: Strike, on: On, act: Act, **limits: int) -> Heal:
    """Put a rule in force whose chance is the fault's own (``only``, ``share``, ...)."""
    return in_force(strike, Rule(on, act, strike.chance(**limits), strike.fault.target))
