"""The tables of a report: what became of each fault, what the plan says, who was hit at work."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from sim.plan import Fault, Plan
from sim.report.names import lasted
from sim.report.scene import Scene
from sim.trace import Event

WORKERS = ("order-events", "payment", "shipping", "notification")


class LedgerRow(msgspec.Struct, frozen=True):
    """One fault of the plan. ``step`` is 0 if it never struck; ``effect`` says what came of it."""

    number: int
    step: int
    at: float
    kind: str
    target: str
    lasts: str
    effect: str


def ledger_of(plan: Plan, events: Sequence[Event]) -> list[LedgerRow]:
    """Return a row for each fault of the plan, in the order of time."""
    struck = {event.facts[0]: event for event in events if event.kind == "fault"}
    missed = {event.facts[0] for event in events if event.kind == "missed"}
    effects: dict[int, Counter[str]] = {}
    for event in events:
        if event.kind == "effect":
            variety = str(event.facts[2]) if len(event.facts) > 2 else ""
            effects.setdefault(event.facts[0], Counter())[variety or "effect"] += 1
    rows = [_row(fault, struck, missed, effects.get(fault.number)) for fault in plan.faults]
    return sorted(rows, key=lambda row: (row.at, row.number))


def _row(
    fault: Fault, struck: dict[int, Event], missed: set[int], effects: Counter[str] | None
) -> LedgerRow:
    event = struck.get(fault.number)
    if event is None:
        effect = "never struck: the run had stopped injecting"
    elif fault.number in missed:
        effect = "missed: nobody was there to be hit"
    elif effects:
        effect = ", ".join(f"{name} {count}x" for name, count in effects.items())
    else:
        effect = "struck"
    return LedgerRow(
        fault.number,
        0 if event is None else event.step,
        fault.at_s if event is None else event.at,
        fault.kind,
        fault.target,
        lasted(fault.for_s) if fault.for_s else "-",
        effect,
    )


def parameters_of(plan: Plan) -> list[tuple[str, Any]]:
    """Return everything that the plan says of the world, as names and values."""
    world = plan.world
    rows: list[tuple[str, Any]] = [
        ("scenario", plan.scenario),
        ("seed", f"{plan.seed:#x}"),
        ("plan", plan.digest()),
        ("processes", {"together": "one", "apart": "one a service"}[world.shape]),
        ("faults and orders for", lasted(plan.safety_s)),
        ("must rest within", lasted(plan.liveness_s_max)),
    ]
    names = ("own_broker", "ending", "dead_service", "latency_s_max", "disk_s_max")
    rows += [(name.replace("_", " "), getattr(world, name)) for name in names]
    rows += sorted(world.settings.items())
    return [(name, value) for name, value in rows if value not in ("", None)]


def coverage_of(scene: Scene) -> list[tuple[str, list[int]]]:
    """Return per kind of fault how often each service was at work while one lasted."""
    strikes = [mark for mark in scene.marks if mark.tone == "fault"]
    work = [mark for mark in scene.marks if mark.shape in ("work", "event")]
    table: dict[str, Counter[str]] = {}
    for strike in strikes:
        until = strike.at if strike.until is None else strike.until
        counts = table.setdefault(strike.label.partition(" ")[0], Counter())
        for mark in work:
            if mark.at <= until and (mark.at if mark.until is None else mark.until) >= strike.at:
                counts[mark.lane] += 1
    return [(kind, [counts[lane] for lane in WORKERS]) for kind, counts in sorted(table.items())]
