"""One run of a plan: safety, heal, liveness, an orderly stop, and the verdict.

Safety: customers and faults at once. Heal: no new faults, and what is to live is made whole; nodes
that the plan leaves dead stay dead. Liveness: everything must come to rest within a bound of
virtual time. Stop: SIGTERM to every process, because stopping must not lose anything either. Then
judges read what is left: histories, ledgers, database files. (After TigerBeetle's VOPR.)
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from sim.blocked import at_rest, first_blocked
from sim.engine import Engine, engine
from sim.faults.injector import Injector
from sim.judges.settled import longest_after
from sim.judges.sighting import Sightings
from sim.loop import OutOfSteps, OutOfTime, Stalled
from sim.operator import LOST, Operator
from sim.past import read_the_past
from sim.plan import Plan
from sim.probes.table import hits
from sim.seed import Seed
from sim.verdict import evidence_of, judge
from sim.watch.holdings import APART_S
from sim.world import SimulatedWorld

LOOK_S = 2.0
STOP_S_MAX = 60.0


class Violation(msgspec.Struct, frozen=True):
    """Something that must hold and does not.

    ``step`` and ``at`` say when it was seen: where nobody knows, at the end of the run.
    """

    name: str
    claim: str
    text: str
    kind: str = "safety"
    step: int = 0
    at: float = 0.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run went. Same plan, same code: the same result, ``digest`` (of the trace) included.

    ``after_heal``: by claim of liveness, the seconds until the last thing that it asks for was
    done after faults had ceased.
    """

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
    after_heal: dict[str, float]

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
        self.injector.on_effect = self.world.witness.fault
        self.violations: list[Violation] = []
        self.at_rest = False
        self.cut = False
        self.dead: tuple[str, ...] = ()
        self.operator: Operator | None = None
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
        self._bury()
        self.healed_at_s = self.engine.now
        if any(self.injector.fired[kind] for kind in LOST):
            self.operator = Operator(self.world, self.dead)
            self.operator.begin()

    def _bury(self) -> None:
        """Leave for dead whom the plan does not let come back, and wake the others.

        The customers of a gateway that is gone go, too.
        """
        world = self.plan.world
        if world.ending == "service-stays-dead":
            self.dead = (world.dead_service,)
        elif world.ending == "broker-stays-dead":
            self.dead = ("broker",)
        for name in self.dead:
            node = self.world.nodes[name]
            node.stays_down = True
            node.kill("stays dead")

    async def _come_to_rest(self) -> None:
        self.engine.note("phase", "liveness")
        limit = self.engine.now + self.plan.liveness_s_max
        while self.engine.now < limit and not self.at_rest:
            await asyncio.sleep(LOOK_S)
            done = not self.injector.board.owes() and at_rest(self.world, self.dead)
            self.at_rest = done and not self._operator_goes()
        self.rested_at_s = self.engine.now
        if not self.at_rest:
            self._give_up()
            return
        self.world.shop.close_pages()
        await asyncio.sleep(0.1)  # a page that is closed is closed for both
        living = [name for name, node in self.world.nodes.items() if node.up]
        self.world.witness.take_census(living)
        if not self.world.shop.open:  # who asks for what a dead service has to do asks for ever
            self.world.witness.holdings.look(living)
            await asyncio.sleep(APART_S)
            self.world.witness.holdings.look(living)
        await read_the_past(self.world, self.dead)

    def _operator_goes(self) -> bool:
        """Send the operator home, if there is one; what he has just offered is still to be done."""
        return self.operator is not None and self.operator.end()

    def _give_up(self) -> None:
        claim = f"everything comes to rest within {self.plan.liveness_s_max:g} s after the faults"
        text = first_blocked(self.world, self.dead)
        step, at = self.engine.trace.count, self.engine.now
        self.violations.append(Violation("comes-to-rest", claim, text, "liveness", step, at))

    async def _stop(self) -> None:
        self.engine.note("phase", "stop")
        world = self.world
        for node in world.nodes.values():
            node.stays_down = True
        for name in reversed(list(world.stopping)):
            world.terminate(name)
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
    with engine(
        Seed(plan.seed),
        keep_trace=keep_trace,
        steps_max=plan.steps_max,
        virtual_s_max=plan.virtual_s_max,
        root=root,
    ) as made:
        running = Running(made, plan)
        if attach is not None:
            attach(running)
        try:
            made.run(running.play())
        except (Stalled, OutOfSteps, OutOfTime) as error:
            claim, step = "the run goes on, and comes to its end", made.trace.count
            running.cut = True
            running.violations.append(
                Violation("progress", claim, str(error), "liveness", step, made.now)
            )
        verdict = _judged(running)
        return Result(
            plan=plan,
            digest=made.trace.digest(),
            steps=made.loop.steps,
            virtual_s=made.now,
            violations=verdict.violations,
            cases=verdict.cases,
            probes=verdict.probes,
            fired=dict(running.injector.fired),
            missed=dict(running.injector.missed),
            effects=dict(running.injector.effects),
            mishaps=list(made.loop.mishaps),
            after_heal=verdict.after_heal,
        )


class _Verdict(msgspec.Struct, frozen=True):
    violations: list[Violation]
    cases: dict[str, int]
    probes: dict[str, int]
    after_heal: dict[str, float]


def _judged(running: Running) -> _Verdict:
    """Judge a run that is over: what it has violated, how many cases each claim had, and hits.

    A run that was cut short still owes what must happen in the end, so nobody asks for that.
    """
    made = running.engine
    running.world.witness.faulty = any(running.injector.fired.values())
    evidence = evidence_of(running.world, running.dead, made.mishaps)
    sightings = Sightings(evidence.observed)
    violations, cases = list(running.violations), {}
    after_heal: dict[str, float] = {}
    for judged in judge(evidence):
        claim, finding = judged.claim, judged.finding
        if claim.liveness and running.cut:
            continue
        cases[claim.name] = finding.cases
        if claim.met is not None and running.at_rest:
            phase = running.healed_at_s, running.rested_at_s
            after_heal[claim.name] = longest_after(claim.met(evidence), *phase)
        kind = "liveness" if claim.liveness else "safety"
        for breach in finding.breaches:
            seen = None if claim.liveness else sightings.moment(breach)
            where = (made.trace.count, made.now) if seen is None else (seen.step, seen.at)
            violations.append(Violation(claim.name, claim.text, breach, kind, *where))
    return _Verdict(violations, cases, dict(hits(evidence)), after_heal)
