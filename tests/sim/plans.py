"""Small explicit plans for the tests of what is around a run."""

from sim.plan import Act, Fault, Order, Plan

MUG = (("MUG-1", 1),)
SHIPPED = Act(do="ship", on="prepared")
CANCELLED = Act(do="cancel", after_s=0.4)


def plan(
    seed: int = 1,
    *,
    orders: tuple[Order, ...] | None = None,
    faults: tuple[Fault, ...] = (),
    safety_s: float = 8.0,
) -> Plan:
    """Return a plan with two orders: one is shipped, one cancelled."""
    two = (
        Order(number=1, at_s=0.5, items=MUG, acts=(SHIPPED,)),
        Order(number=2, at_s=0.9, items=MUG, acts=(CANCELLED,)),
    )
    return Plan(
        scenario="everything",
        seed=seed,
        orders=two if orders is None else orders,
        faults=faults,
        safety_s=safety_s,
    )


def kill(number: int, at_s: float, target: str = "shop") -> Fault:
    """Return a fault that kills a node for a second."""
    return Fault(number=number, kind="kill", at_s=at_s, for_s=1.0, target=target)
