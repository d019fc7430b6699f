"""Deaths at a point of the work: the k-th statement, publish, ack or call, before it or after it.

A time drawn at random almost never falls inside a transaction; "the k-th from now" does. What is
counted is ``at``: ``statement`` (``only``: how it begins, ``database``: in which file), ``publish``
(``only``: a routing key),
``ack`` (``only``: a queue) or ``call`` of an outside party (``only``: which), and ``after`` says
how many pass first.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from sim.disk import Arm, Damage, PowerCut
from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, Strike
from sim.faults.rules import meddle
from sim.plan import World
from sim.remote import Trouble
from sim.taps.amqp import AmqpTap
from sim.taps.unit import Unit

Moment = Literal["before", "after"]
LOG = "orders.db"
_STATEMENTS = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT", "COMMIT", "COMMIT")
_CALLS = {
    "payment": (("provider", "authorise"), ("provider", "capture"), ("provider", "refund")),
    "shipping": (("carrier", "prepare"),),
    "notification": (("mailer", "send"),),
}


def kill_at(strike: Strike) -> Heal | None:
    """SIGKILL at a point of the work; the process is started again after ``for_s``."""
    return _die(strike, told=True)


def power_cut(strike: Strike) -> Heal | None:
    """The machine loses power at a point of the work: what was not synced is lost or damaged."""
    return _die(strike, told=False)


def recovery_kill(strike: Strike) -> Heal | None:
    """SIGKILL, and again at the ``after``-th statement of the next start: during recovery."""
    node = strike.node()
    node.restart_s = strike.fact("restart_s", 0.5)

    def again() -> None:
        node.on_start.remove(again)
        node.storage.arms.append(
            Arm(strike.fact("after", 0) + 1, "before", PowerCut(told=True), happened=happened)
        )

    def happened(_inside: bool) -> None:
        strike.happened(node.name)

    node.on_start.append(again)
    node.kill()
    return lambda: node.on_start.remove(again) if again in node.on_start else None


def _die(strike: Strike, *, told: bool) -> Heal | None:
    node = strike.node()
    node.restart_s = strike.fact("restart_s", 0.5)
    match strike.fact("at", "statement"):
        case "statement":
            return _at_statement(strike, told=told)
        case "call":
            return at_call(strike, partial(_fell, strike, told=told))
        case point:
            return _on_the_wire(strike, point, told=told)


def _fell(strike: Strike, *, told: bool) -> None:
    node = strike.world.nodes[strike.fault.target]
    if node.up:
        strike.happened(strike.fact("moment", "before"), variety=strike.fact("at", "statement"))
        if told:
            node.kill()
        else:
            node.cut_power()


def _at_statement(strike: Strike, *, told: bool) -> Heal:
    node = strike.node()
    damage: Damage = strike.fact("damage", "none")

    def happened(inside: bool) -> None:
        variety = "in a transaction" if inside else "between transactions"
        strike.happened(strike.fact("moment", "before"), variety=variety)

    arm = Arm(
        left=strike.fact("after", 0) + 1,
        moment=strike.fact("moment", "before"),
        what=PowerCut("none" if told else damage, told),
        only=strike.fact("only", ""),
        database=strike.fact("database", ""),
        happened=happened,
    )
    node.storage.arms.append(arm)
    return lambda: node.storage.disarm(arm)


def _on_the_wire(strike: Strike, point: Literal["publish", "ack"], *, told: bool) -> Heal:
    def act(tap: AmqpTap, unit: Unit) -> None:
        if strike.fact("moment", "before") == "after":
            (tap.publish if point == "publish" else tap.ack)(unit)
            tap.line.flush()
        _fell(strike, told=told)

    return meddle(strike, point, act, skip=strike.fact("after", 0), left=1)


def at_call(strike: Strike, act: Callable[[], None]) -> Heal:
    """Do something at a call of an outside party; see the module's ``at``."""
    remote = strike.world.outside.remotes[strike.fact("party", "provider")]
    chance = strike.chance(skip=strike.fact("after", 0), left=1)
    trouble = Trouble(chance, reply_s=strike.fact("slow_s", 0.0))
    if strike.fact("moment", "before") == "before":
        trouble.before = act
    else:
        trouble.after = act
    remote.troubles.append(trouble)
    return lambda: remote.troubles.remove(trouble)


def _draw_death(rng: random.Random, world: World) -> Draft:
    at = rng.choice(("statement", "statement", "statement", "publish", "ack", "call"))
    facts: dict[str, Any] = {
        "at": at,
        "moment": rng.choice(("before", "after")),
        "restart_s": rng.choice((0.1, 0.5, 5.0)),
    }
    if at == "statement":
        # An outside party writes little: what is armed there mostly never goes off.
        everybody = rng.random() < 0.2
        target = rng.choice((targets.everybody if everybody else targets.processes)(world))
        facts |= {
            "after": rng.randrange(8),
            "only": rng.choice(_STATEMENTS),
            "damage": rng.choice(("none", "cut", "flip")),
        }
        if rng.random() < 0.3:
            facts["database"], target = LOG, targets.keeper_of_the_log(world)
    elif at == "call":
        service, call = draw_call(rng)
        target = targets.consumer(world, service)
        facts |= call
    else:
        clients = targets.broker_clients(world)
        target = rng.choice(clients if at == "publish" else clients[-3:])
        facts["after"] = rng.randrange(6)
    return Draft(target=target, for_s=30.0, facts=facts)


def draw_call(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Draw a call of an outside party: the service that makes it, and the facts that name it."""
    service = rng.choice(targets.QUEUES)
    party, only = rng.choice(_CALLS[service])
    return service, {"after": rng.randrange(4), "only": only, "party": party}


def _draw_recovery(rng: random.Random, world: World) -> Draft:
    facts = {"after": rng.randrange(40), "restart_s": rng.choice((0.1, 1.0))}
    return Draft(target=rng.choice(targets.processes(world)), for_s=30.0, facts=facts)


KINDS = (
    Kind("kill-at", kill_at, _draw_death, "amqp"),
    Kind("power-cut", power_cut, _draw_death, "amqp"),
    Kind("recovery-kill", recovery_kill, _draw_recovery),
)
