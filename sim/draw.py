"""From a seed to a plan: swarm testing.

Each seed draws which fault kinds are on at all, and how hard each is, and skews the workload (hot
orders, bursts, races aimed at the guards): average chaos finds average bugs (Groce and others,
"Swarm Testing", ISSTA 2012). The draw is the only place where a seed becomes faults; what runs is
the plan.
"""

from sim.plan import Plan
from sim.seed import Seed


def draw(scenario: str, seed: int, *, orders: int = 20) -> Plan:
    """Return the plan of this scenario and seed."""
    Seed(seed).stream("draw", scenario)
    return Plan(scenario=scenario, seed=seed)
