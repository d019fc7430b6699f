"""``result.json``: how a run ended, for programs."""

from typing import Literal

import msgspec

from sim.outcome import Task
from sim.provenance import Provenance
from sim.run import Result, Violation
from sim.token import Token


class ShrunkFrom(msgspec.Struct, frozen=True):
    """What a shrunk plan once was: its token, faults and orders, and the runs that it took."""

    token: str
    faults: int
    orders: int
    runs: int
    seconds: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``token`` replays it; ``steps`` are the scheduler's, ``digest`` is the trace's.

    ``identical``: how many runs of this plan, one after another, had this very trace.
    ``parted_from``: the trace of the run before, where it was another one.
    """

    schema: Literal["ordermill.sim.result/v1"] = "ordermill.sim.result/v1"
    token: str
    scenario: str
    seed: int
    plan_hash: str
    verdict: Literal["passed", "failed"]
    provenance: Provenance
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
    mutation: str = ""
    shrunk: ShrunkFrom | None = None
    after_heal: dict[str, float] = {}
    identical: int = 1
    parted_from: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was violated."""
        return self.verdict == "passed"

    @property
    def repeated(self) -> str:
        """Say whether it was the same again."""
        if self.parted_from:
            return f"NOT identical: the run before had trace {self.parted_from[:12]}"
        return f"{self.identical} runs identical" if self.identical > 1 else "run once"


class Before(msgspec.Struct, frozen=True):
    """The trace of earlier runs of the same plan, and how many there were."""

    digest: str
    runs: int = 1


def report_of(
    task: Task,
    result: Result,
    provenance: Provenance,
    shrunk: ShrunkFrom | None = None,
    before: Before | None = None,
) -> Report:
    """Return the report of a run; ``before`` are those that it is compared with."""
    same = before is None or before.digest == result.digest
    plan_hash = result.plan.digest()
    return Report(
        token=str(Token(task.scenario, task.seed, plan_hash)),
        scenario=task.scenario,
        seed=task.seed,
        plan_hash=plan_hash,
        verdict="passed" if result.passed else "failed",
        provenance=provenance,
        digest=result.digest,
        steps=result.steps,
        virtual_s=result.virtual_s,
        violations=result.violations,
        cases=result.cases,
        probes=result.probes,
        fired=result.fired,
        missed=result.missed,
        effects=result.effects,
        mishaps=result.mishaps,
        mutation=task.wishes.mutation,
        shrunk=shrunk,
        after_heal=result.after_heal,
        identical=1 if before is None or not same else before.runs + 1,
        parted_from="" if before is None or same else before.digest,
    )


def to_json(report: Report) -> bytes:
    """Return it as JSON, readable."""
    return msgspec.json.format(msgspec.json.encode(report, order="deterministic"), indent=2)
