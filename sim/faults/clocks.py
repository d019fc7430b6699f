"""What a node's wall clock does. (Timers that come late are `sim.faults.process.stutter`.)"""

import random

from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, Strike
from sim.plan import World


def wall_jump(strike: Strike) -> Heal | None:
    """A wall clock jumps by ``by_s``, and back after ``for_s``."""
    clock, by_s = strike.world.nodes[strike.fault.target].clock, strike.fact("by_s", 60.0)
    before = clock.reads
    clock.skew_s += by_s

    def heal() -> None:
        clock.skew_s -= by_s
        if clock.reads > before:
            strike.happened(by_s)

    return heal


def wall_skew(strike: Strike) -> Heal | None:
    """A wall clock is wrong by ``by_s`` and stays so: nobody sets it right."""
    clock, by_s = strike.world.nodes[strike.fault.target].clock, strike.fact("by_s", 2.0)
    clock.skew_s += by_s
    strike.happened(by_s)
    return None


def _draw_jump(rng: random.Random, world: World) -> Draft:
    by_s = rng.choice((-3600.0, -60.0, -5.0, -0.5, 0.5, 5.0, 60.0, 3600.0))
    return Draft(
        target=rng.choice(targets.everybody(world)), for_s=rng.uniform(1, 25), facts={"by_s": by_s}
    )


def _draw_skew(rng: random.Random, world: World) -> Draft:
    by_s = rng.choice((-1, 1)) * rng.choice((0.05, 1.0, 30.0, 900.0))
    return Draft(target=rng.choice(targets.everybody(world)), facts={"by_s": by_s})


KINDS = (
    Kind("wall-jump", wall_jump, _draw_jump),
    Kind("wall-skew", wall_skew, _draw_skew),
)
