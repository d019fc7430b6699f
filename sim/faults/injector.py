"""Carries the faults of a plan out; heals them when their time is over, or all of them at once."""

from collections import Counter
from collections.abc import Callable

from sim.faults.kind import Heal, NoVictim, Strike
from sim.faults.table import KINDS
from sim.incarnation import NOBODY
from sim.plan import Fault
from sim.taps.switchboard import Switchboard
from sim.world import SimulatedWorld


class Injector:
    """The faults of one run. ``effects`` counts, by kind, the differences that they made.

    Varieties count as ``kind/variety``, too. ``on_effect`` is called with every fault that does,
    and the variety.
    """

    def __init__(self, world: SimulatedWorld) -> None:
        self.fired: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.effects: Counter[str] = Counter()
        self.on_effect: Callable[[Fault, str], None] | None = None
        self._world = world
        self._stopped = False
        self._healing: dict[int, Heal] = {}
        needs = {KINDS[fault.kind].needs for fault in world.plan.faults}
        self.board = Switchboard(world.engine.network, amqp="amqp" in needs, http="http" in needs)

    def begin(self) -> None:
        """Set a timer for each fault."""
        for fault in self._world.plan.faults:
            self._world.engine.loop.call_at(fault.at_s, self._inject, fault, context=NOBODY)

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
        strike = Strike(self._world, self.board, fault, self._effective)
        try:
            heal = KINDS[fault.kind].inject(strike)
        except NoVictim:
            engine.note("missed", fault.number)
            self.missed[fault.kind] += 1
            return
        self.fired[fault.kind] += 1
        if heal is not None:
            self._healing[fault.number] = heal
            engine.loop.call_later(fault.for_s, self._heal, fault.number, context=NOBODY)

    def _heal(self, number: int) -> None:
        heal = self._healing.pop(number, None)
        if heal is not None:
            self._world.engine.note("healed", number)
            heal()

    def _effective(self, fault: Fault, variety: str) -> None:
        self.effects[fault.kind] += 1
        if variety:
            self.effects[f"{fault.kind}/{variety}"] += 1
        if self.on_effect is not None:
            self.on_effect(fault, variety)
