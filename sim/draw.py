"""From a seed to a plan: swarm testing.

Each seed draws which fault kinds are on at all, and how hard each is, and skews the workload (hot
orders, bursts, races aimed at the guards): average chaos finds average bugs (Groce and others,
"Swarm Testing", ISSTA 2012). The draw is the only place where a seed becomes faults; what runs is
the plan.
"""

from sim.plan import Plan
from sim.scenarios import SCENARIOS
from sim.sketch import Sketch


def draw(scenario: str, seed: int, *, orders: int = 20, intensity: float = 1.0) -> Plan:
    """Return the plan of this scenario and seed; KeyError for a name that there is not."""
    sketch = Sketch(scenario, seed, orders)
    SCENARIOS[scenario](sketch)
    return sketch.plan(intensity=intensity)
