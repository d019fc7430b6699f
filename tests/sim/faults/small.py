"""A small run with one fault, and what can be seen of it afterwards."""

from typing import Any

from sim.plan import Act, Fault, Order, Plan, World
from sim.run import Result, Running, run

MUG = (("MUG-1", 1),)
ORDERS = (
    Order(number=1, at_s=1.0, items=MUG, acts=(Act(do="ship", on="prepared"),)),
    Order(number=2, at_s=1.1, items=MUG, acts=(Act(do="cancel", after_s=0.9),), again=1),
    Order(number=3, at_s=1.6, items=MUG, card="pm_card_flaky"),
)
QUICK: dict[str, Any] = {
    "payment.hold_s": 0.2,
    "shipping.hold_s": 0.2,
    "retry.tiers_s": (1,),
    "retry.attempts_max": 1000,
    "broker.confirm_timeout_s": 2.0,
    "broker.heartbeat_s": 2,
    "broker.reconnect_s_max": 1.0,
}


class Struck:
    """How a run went, and the run itself: ``result`` and ``running``."""

    def __init__(self, result: Result, running: Running) -> None:
        self.result = result
        self.running = running

    @property
    def effects(self) -> dict[str, int]:
        """What the faults did, by kind."""
        return self.result.effects

    @property
    def breaches(self) -> list[str]:
        """What was violated: nothing, whatever the fault."""
        return [f"{one.name}: {one.text}" for one in self.result.violations]

    def incidents(self, name: str) -> int:
        """How often the product has told of this."""
        return sum(one == name for _, _, one in self.running.world.incidents)


def strike(
    kind: str,
    target: str = "",
    *,
    at_s: float = 0.9,
    for_s: float = 4.0,
    world: World | None = None,
    orders: tuple[Order, ...] = ORDERS,
    seed: int = 1,
    **facts: Any,
) -> Struck:
    """Run three orders through a world with a broker of its own, and one fault."""
    plan = Plan(
        scenario="everything",
        seed=seed,
        world=world or World(own_broker=True, settings=QUICK),
        orders=orders,
        faults=(Fault(number=1, kind=kind, at_s=at_s, for_s=for_s, target=target, facts=facts),),
        safety_s=8.0,
    )
    seen: list[Running] = []
    result = run(plan, attach=seen.append)
    return Struck(result, seen[0])
