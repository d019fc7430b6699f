"""What can go wrong, as a table: the kind's name, and the function that makes it happen.

The law: a fault is injected at the seam or around the broker, never in the product; each is healed
by the function that it returns (or by nothing, where there is nothing to heal), when its time is
over or when the run stops injecting. A fault that found no victim did not *fire* and says so.

A kind's docstring is what users read in `ordermill sim list`.
"""

import random
from collections import Counter
from collections.abc import Callable

from sim.disk import Arm, PowerCut
from sim.plan import Fault
from sim.world import SimulatedWorld

Heal = Callable[[], None]
Inject = Callable[[SimulatedWorld, Fault, random.Random], Heal | None]


class NoVictim(Exception):
    """There was nobody to hit: the node was down already, or the path had no connection."""


def kill(world: SimulatedWorld, fault: Fault, rng: random.Random) -> Heal | None:
    """SIGKILL of a process; it is started again after ``for_s``."""
    node = world.nodes[fault.target]
    if not node.up:
        raise NoVictim(fault.target)
    node.restart_s = max(fault.for_s, 0.1)
    node.kill()
    return None


def power_cut(world: SimulatedWorld, fault: Fault, rng: random.Random) -> Heal | None:
    """The machine loses power at the ``after``-th statement from now: un-synced writes are lost."""
    node = world.nodes[fault.target]
    if not node.up:
        raise NoVictim(fault.target)
    node.restart_s = max(fault.for_s, 0.1)
    facts = fault.facts
    arm = Arm(
        left=facts.get("after", 1),
        moment=facts.get("moment", "before"),
        what=PowerCut(facts.get("damage", "none")),
        only=facts.get("only", ""),
    )
    node.storage.arms.append(arm)
    return lambda: node.storage.arms.remove(arm) if arm in node.storage.arms else None


def freeze(world: SimulatedWorld, fault: Fault, rng: random.Random) -> Heal | None:
    """SIGSTOP of a process for ``for_s``, past heartbeats and deadlines; then it goes on."""
    node = world.nodes[fault.target]
    if not node.up:
        raise NoVictim(fault.target)
    node.freeze()
    return node.thaw


def silence(world: SimulatedWorld, fault: Fault, rng: random.Random) -> Heal | None:
    """Nothing passes between two nodes, and nobody is told: no reset, no refusal."""
    one, other = fault.target.split("|")
    paths = [world.engine.network.path(one, other), world.engine.network.path(other, one)]
    for path in paths if not fault.facts.get("one_way") else paths[:1]:
        path.silent = True

    def heal() -> None:
        for path in paths:
            path.silent = False
        world.engine.network.release()

    return heal


KINDS: dict[str, Inject] = {
    "kill": kill,
    "power-cut": power_cut,
    "freeze": freeze,
    "silence": silence,
}


class Injector:
    """Carries the faults of a plan out; `stop` heals everything."""

    def __init__(self, world: SimulatedWorld) -> None:
        self.fired: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self._world = world
        self._stopped = False
        self._healing: dict[int, Heal] = {}

    def begin(self) -> None:
        """Set a timer for each fault."""
        for fault in self._world.plan.faults:
            self._world.engine.loop.call_at(fault.at_s, self._inject, fault)

    def stop(self) -> None:
        """No new faults; those that last are healed now."""
        self._stopped = True
        for number in list(self._healing):
            self._heal(number)

    def _inject(self, fault: Fault) -> None:
        if self._stopped:
            return
        engine = self._world.engine
        engine.note("fault", fault.number, fault.kind, fault.target)
        rng = engine.seed.stream("fault", fault.number)
        try:
            heal = KINDS[fault.kind](self._world, fault, rng)
        except NoVictim:
            self.missed[fault.kind] += 1
            return
        self.fired[fault.kind] += 1
        if heal is not None:
            self._healing[fault.number] = heal
            engine.loop.call_later(fault.for_s, self._heal, fault.number)

    def _heal(self, number: int) -> None:
        heal = self._healing.pop(number, None)
        if heal is not None:
            self._world.engine.note("healed", number)
            heal()
