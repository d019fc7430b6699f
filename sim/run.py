"""One run of a plan: safety, heal, liveness, an orderly stop, and the verdict.

Safety: customers and faults at once. Heal: no new faults, and what is to live is made whole; nodes
that the plan leaves dead stay dead. Liveness: everything must come to rest within a bound of
virtual time. Stop: SIGTERM to every process, because stopping must not lose anything either. Then
judges read what is left: histories, ledgers, database files. (After TigerBeetle's VOPR.)
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from sim.engine import Engine, engine
from sim.faults.injector import Injector
from sim.loop import OutOfSteps, Stalled
from sim.plan import Plan
from sim.seed import Seed
from sim.world import SimulatedWorld

LOOK_S = 2.0
STOP_S_MAX = 60.0


class Violation(msgspec.Struct, frozen=True):
    """Something that must hold and does not. ``step`` and ``at`` say when it was seen."""

    name: str
    claim: str
    text: str
    kind: str = "safety"
    step: int = 0
    at: float = 0.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run went. Same plan, same code: the same result, ``digest`` (of the trace) included."""

    plan: Plan
    digest: str
    steps: int
    virtual_s: float
    violations: list[Violation]
    cases: dict[str, int]
    probes: dict[str, int]
    fired: dict[str, int]
    missed: dict[str, int]
    effects: dict[str, int]
    mishaps: list[str]

    @property
    def passed(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations


class Running:
    """A run under way, and what judges look at when it is over."""

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self.engine = engine
        self.plan = plan
        self.world = SimulatedWorld(engine, plan)
        self.injector = Injector(self.world)
        self.violations: list[Violation] = []
        self.at_rest = False
        self.healed_at_s = 0.0
        self.rested_at_s = 0.0

    async def play(self) -> None:
        """Go through the phases."""
        plan, world = self.plan, self.world
        world.start()
        self.injector.begin()
        world.shop.begin(plan.orders)
        await asyncio.sleep(plan.safety_s)
        self._heal()
        await self._come_to_rest()
        await self._stop()

    def _heal(self) -> None:
        self.engine.note("phase", "heal")
        self.injector.stop()
        self.engine.network.heal()
        self.healed_at_s = self.engine.now

    async def _come_to_rest(self) -> None:
        self.engine.note("phase", "liveness")
        limit = self.engine.now + self.plan.liveness_s_max
        while self.engine.now < limit and not self.at_rest:
            await asyncio.sleep(LOOK_S)
            self.at_rest = not self.world.shop.open
        self.rested_at_s = self.engine.now

    async def _stop(self) -> None:
        self.engine.note("phase", "stop")
        world = self.world
        for node in world.nodes.values():
            node.stays_down = True
        for name in reversed(list(world.stopping)):
            if world.nodes[name].up:
                world.stopping[name].set()
        limit = self.engine.now + STOP_S_MAX
        while any(world.nodes[name].up for name in world.stopping) and self.engine.now < limit:
            await asyncio.sleep(0.1)


def run(
    plan: Plan,
    *,
    keep_trace: bool = False,
    root: Path | None = None,
    attach: Callable[[Running], None] | None = None,
) -> Result:
    """Run a plan and judge it. ``attach`` is shown the run before it begins, to watch it."""
    with engine(Seed(plan.seed), keep_trace=keep_trace, root=root) as made:
        running = Running(made, plan)
        if attach is not None:
            attach(running)
        try:
            made.run(running.play())
        except (Stalled, OutOfSteps) as error:
            running.violations.append(Violation("progress", "the run goes on", str(error)))
        return Result(
            plan=plan,
            digest=made.trace.digest(),
            steps=made.loop.steps,
            virtual_s=made.now,
            violations=running.violations,
            cases={},
            probes=dict(Counter()),
            fired=dict(running.injector.fired),
            missed=dict(running.injector.missed),
            effects=dict(running.injector.effects),
            mishaps=list(made.loop.mishaps),
        )
