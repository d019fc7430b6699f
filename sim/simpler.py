"""Plans that are a little simpler than a plan: what shrinking tries, most promising first.

Every function here is pure. A variant that is equal to its plan is left out, so a list that is
empty means that nothing of this kind can be made simpler.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from sim.plan import Fault, Order, Plan, World

Variants = Callable[[Plan], list[Plan]]
_replace = msgspec.structs.replace
_AFTER_S = 5.0


def fewer_acts(plan: Plan) -> list[Plan]:
    """Leave out what the customers do: all that one of them does, then one act at a time."""
    found: list[Plan] = []
    for order in plan.orders:
        found += _with_order(plan, _replace(order, acts=()))
    for order in plan.orders:
        for at in range(len(order.acts)):
            rest = order.acts[:at] + order.acts[at + 1 :]
            found += _with_order(plan, _replace(order, acts=rest))
    return found


def plainer_orders(plan: Plan) -> list[Plan]:
    """Nothing is sent twice, and one thing is ordered with a card that works."""
    found: list[Plan] = []
    for order in plan.orders:
        plain = _replace(order, again=0, twins=0)
        found += _with_order(plan, plain)
        found += _with_order(plan, _replace(order, items=order.items[:1]))
        found += _with_order(plan, _replace(order, items=((order.items[0][0], 1),)))
        for at, act in enumerate(order.acts):
            once = _replace(act, again=0, twins=0)
            acts = (*order.acts[:at], once, *order.acts[at + 1 :])
            found += _with_order(plan, _replace(order, acts=acts))
    return found


def plainer_worlds(plan: Plan) -> list[Plan]:
    """One process, no setting of its own, everything heals."""
    world, plain = plan.world, World()
    worlds = [_replace(plain, shape=world.shape, own_broker=world.own_broker), plain]
    worlds.append(_replace(world, ending=plain.ending, dead_service=plain.dead_service))
    worlds += [
        _replace(
            world, settings={key: value for key, value in world.settings.items() if key != one}
        )
        for one in world.settings
    ]
    return _others(plan, (_replace(plan, world=simple) for simple in worlds))


def plainer_faults(plan: Plan) -> list[Plan]:
    """Shorter faults, at round times."""
    found: list[Plan] = []
    for at, fault in enumerate(plan.faults):
        changed: list[Fault] = []
        if fault.for_s > 1.0:
            changed += [
                _replace(fault, for_s=1.0),
                _replace(fault, for_s=round(fault.for_s / 2, 1)),
            ]
        changed += [_replace(fault, at_s=round(fault.at_s, digits)) for digits in (0, 1, 2)]
        changed.append(_replace(fault, for_s=round(fault.for_s, 1)))
        found += [
            _replace(plan, faults=(*plan.faults[:at], one, *plan.faults[at + 1 :]))
            for one in changed
        ]
    return _others(plan, found)


def plainer_times(plan: Plan) -> list[Plan]:
    """Everything earlier; orders and acts at round times; an end soon after the last of it."""
    return _others(plan, _times(plan))


def _times(plan: Plan) -> Iterator[Plan]:
    last = max([0.0, *(order.at_s for order in plan.orders), *map(_end, plan.faults)])
    for after_s in (_AFTER_S, 2 * _AFTER_S):
        if last + after_s < plan.safety_s:
            yield _replace(plan, safety_s=round(last + after_s, 1))
    first = min([*(one.at_s for one in plan.orders), *(one.at_s for one in plan.faults)], default=0)
    if first > 2.0:
        yield _earlier(plan, int(first - 1.0))
    for order in plan.orders:
        for digits in (0, 1):
            acts = tuple(_replace(act, after_s=round(act.after_s, digits)) for act in order.acts)
            yield from _with_order(plan, _replace(order, at_s=round(order.at_s, digits), acts=acts))


def _earlier(plan: Plan, by_s: int) -> Plan:
    orders = tuple(_replace(order, at_s=round(order.at_s - by_s, 6)) for order in plan.orders)
    faults = tuple(_replace(fault, at_s=round(fault.at_s - by_s, 6)) for fault in plan.faults)
    return _replace(plan, orders=orders, faults=faults, safety_s=round(plan.safety_s - by_s, 6))


def _end(fault: Fault) -> float:
    return fault.at_s + fault.for_s


def _with_order(plan: Plan, changed: Order) -> list[Plan]:
    orders = tuple(changed if one.number == changed.number else one for one in plan.orders)
    return _others(plan, [_replace(plan, orders=orders)])


def _others(plan: Plan, variants: Iterable[Plan]) -> list[Plan]:
    found: list[Plan] = []
    for variant in variants:
        if variant != plan and variant not in found:
            found.append(variant)
    return found


STEPS: tuple[tuple[str, Variants], ...] = (
    ("acts", fewer_acts),
    ("orders", plainer_orders),
    ("world", plainer_worlds),
    ("times", plainer_times),
    ("faults", plainer_faults),
)


def size_of(plan: Plan) -> tuple[int, int, int]:
    """Return how many faults, orders and acts there are."""
    return len(plan.faults), len(plan.orders), sum(len(order.acts) for order in plan.orders)
