"""What becomes of one run of a sweep, small enough to keep thousands.

A run may also end without a result: the simulator raised, the process died, or nothing came within
the wall clock's limit. Those are failures like any violation, with the seed to see them again.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext

import msgspec

from sim.batch import Lost
from sim.draw import draw
from sim.mutations.catalogue import MUTATIONS
from sim.mutations.patching import planted
from sim.plan import STEPS_MAX, VIRTUAL_S_MAX, Fault, Plan
from sim.report.names import Names
from sim.run import Result, Running, Violation, run
from sim.token import Token, seed_text

GENERIC = ("comes-to-rest", "progress", "run-raised")
"""Violations that many things may cause."""


class Wishes(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a draw differs from the scenario's own. Not the default: a token does not say it.

    ``faults``: only these kinds, None all. ``mutation``: a planted defect. The limits are the
    plan's.
    """

    orders: int = 20
    faults: tuple[str, ...] | None = None
    intensity: float = 1.0
    mutation: str = ""
    steps_max: int = STEPS_MAX
    virtual_s_max: float = VIRTUAL_S_MAX

    def options(self) -> list[str]:
        """Return the options of ``ordermill sim run`` that say the same."""
        found: list[str] = []
        if self.orders != AS_DRAWN.orders:
            found.append(f"--orders {self.orders}")
        if self.faults is not None:
            found.append(f"--faults {','.join(self.faults) or 'none'}")
        if self.intensity != AS_DRAWN.intensity:
            found.append(f"--intensity {self.intensity:g}")
        if self.mutation:
            found.append(f"--mutate {self.mutation}")
        if self.steps_max != AS_DRAWN.steps_max:
            found.append(f"--max-steps {self.steps_max}")
        if self.virtual_s_max != AS_DRAWN.virtual_s_max:
            found.append(f"--max-virtual {self.virtual_s_max:g}s")
        return found


AS_DRAWN = Wishes()


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run to do: a draw, or (``plan``) an explicit plan, which ``corpus`` names."""

    scenario: str
    seed: int
    wishes: Wishes = AS_DRAWN
    plan: Plan | None = None
    corpus: str = ""

    def planned(self) -> Plan:
        """Return the plan."""
        if self.plan is not None:
            return self.plan
        wishes = self.wishes
        plan = draw(self.scenario, self.seed, orders=wishes.orders, intensity=wishes.intensity)
        return msgspec.structs.replace(
            plan,
            faults=plan.faults if wishes.faults is None else _only(plan, wishes.faults),
            steps_max=wishes.steps_max,
            virtual_s_max=wishes.virtual_s_max,
        )


def _only(plan: Plan, kinds: tuple[str, ...]) -> tuple[Fault, ...]:
    return tuple(fault for fault in plan.faults if fault.kind in kinds)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one run ended. ``digest`` is its trace's, empty where it was lost.

    ``wishes`` as in its task: unless they are `AS_DRAWN`, the token does not say all of it.
    ``suspects``: by violation, the numbers of the plan's orders that it names.
    """

    scenario: str
    seed: int
    plan_hash: str = ""
    corpus: str = ""
    wishes: Wishes = AS_DRAWN
    shape: str = ""
    digest: str = ""
    steps: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    violations: list[Violation] = []
    cases: dict[str, int] = {}
    probes: dict[str, int] = {}
    fired: dict[str, int] = {}
    missed: dict[str, int] = {}
    effects: dict[str, int] = {}
    mishaps: list[str] = []
    suspects: dict[str, list[int]] = {}
    after_heal: dict[str, float] = {}

    @property
    def passed(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations

    @property
    def token(self) -> Token:
        """What replays it."""
        return Token(self.scenario, self.seed, self.plan_hash)

    @property
    def again(self) -> str:
        """The command that shows it again, where nothing is written down yet."""
        if self.corpus:
            return f"ordermill sim replay {self.corpus}"
        if self.wishes == AS_DRAWN:
            return f"ordermill sim replay {self.token}"
        options = [f"--seed {seed_text(self.seed)}", *self.wishes.options()]
        return f"ordermill sim run {self.scenario} {' '.join(options)}"

    @property
    def name(self) -> str:
        """How lines call it."""
        return self.corpus or f"{self.scenario}:{seed_text(self.seed)}"


def perform(task: Task) -> Outcome:
    """Run a task: what a worker does."""
    began = time.process_time()
    seen: list[Running] = []
    result = execute(task, attach=seen.append)
    outcome = outcome_of(task, result, time.process_time() - began)
    if result.passed:
        return outcome
    return msgspec.structs.replace(outcome, suspects=_suspects(result, seen[0]))


def _suspects(result: Result, running: Running) -> dict[str, list[int]]:
    world = running.world
    names = Names(world.shop.history, world.witness.commits)
    found: dict[str, list[int]] = {}
    for violation in result.violations:
        number = names.order_in(violation.text)
        numbers = found.setdefault(violation.name, [])
        if number and number not in numbers:
            numbers.append(number)
    return found


def execute(
    task: Task, *, keep_trace: bool = False, attach: Callable[[Running], None] | None = None
) -> Result:
    """Run a task, with its defect planted if it asks for one.

    What says most comes first among the violations: one that few things can cause.
    """
    plan = task.planned()
    mutation = task.wishes.mutation
    with planted(MUTATIONS[mutation]) if mutation else nullcontext():
        result = run(plan, keep_trace=keep_trace, attach=attach)
    told = sorted(result.violations, key=lambda found: found.name in GENERIC)
    return msgspec.structs.replace(result, violations=told)


def outcome_of(task: Task, result: Result, cpu_s: float) -> Outcome:
    """Return the small form of a result."""
    return Outcome(
        scenario=task.scenario,
        seed=task.seed,
        plan_hash=result.plan.digest(),
        corpus=task.corpus,
        wishes=task.wishes,
        shape=result.plan.world.shape,
        digest=result.digest,
        steps=result.steps,
        virtual_s=result.virtual_s,
        cpu_s=cpu_s,
        violations=result.violations,
        cases=result.cases,
        probes=result.probes,
        fired=result.fired,
        missed=result.missed,
        effects=result.effects,
        mishaps=result.mishaps,
        after_heal=result.after_heal,
    )


def lost(task: Task, how: Lost) -> Outcome:
    """Return what is known of a run without a result."""
    claim = "every run ends, and with a result"
    violation = Violation(f"run-{how.why}", claim, how.text.strip(), kind="engine")
    return Outcome(
        scenario=task.scenario,
        seed=task.seed,
        corpus=task.corpus,
        wishes=task.wishes,
        violations=[violation],
    )
