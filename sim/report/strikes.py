"""Faults, and what they do to nodes: when each struck and ended, who was down in between."""

from collections.abc import Iterator, Sequence

from sim.plan import Fault, Plan
from sim.report.scene import Down, Mark, Tone
from sim.trace import Event
from sim.world import SimulatedWorld

_SERVICES = ("order-events", "payment", "shipping", "notification")


def lanes_of(world: SimulatedWorld, node: str) -> tuple[str, ...]:
    """Return the lanes that stand still while a node does."""
    if node == "shop":
        broker = () if "broker" in world.nodes else ("broker",)
        return ("order-events", "outbox", *broker, "payment", "shipping", "notification")
    return ("order-events", "outbox") if node == "order-events" else (node,)


def downs_of(world: SimulatedWorld, events: Sequence[Event]) -> list[Down]:
    """Return when which node was down or frozen."""
    downs: list[Down] = []
    since: dict[str, tuple[float, str]] = {}
    for event in events:
        if event.kind in ("end", "freeze"):
            why = str(event.facts[2]) if event.kind == "end" else "frozen"
            since[event.facts[0]] = event.at, why
        elif event.kind in ("start", "thaw") and event.facts[0] in since:
            at, why = since.pop(event.facts[0])
            node = str(event.facts[0])
            downs.append(Down(node, lanes_of(world, node), at, event.at, why))
    for node, (at, why) in since.items():
        downs.append(Down(node, lanes_of(world, node), at, None, why))
    return sorted(downs, key=lambda down: down.at)


def death_of(downs: Sequence[Down], node: str, after_s: float) -> float | None:
    """Return when a node's process ended that lived at a time, None if it never did."""
    return next((one.at for one in downs if one.node == node and one.at >= after_s), None)


def strike_marks(plan: Plan, events: Sequence[Event]) -> Iterator[Mark]:
    """Yield the faults that were carried out, and when nodes ended and started."""
    faults = {fault.number: fault for fault in plan.faults}
    healed = {event.facts[0]: event.at for event in events if event.kind == "healed"}
    effects: dict[int, int] = {}
    for event in events:
        if event.kind == "effect":
            effects[event.facts[0]] = effects.get(event.facts[0], 0) + 1
    for event in events:
        if event.kind == "fault":
            fault = faults[event.facts[0]]
            until = healed.get(fault.number)
            yield _strike(fault, event, until, effects.get(fault.number, 0))
        elif event.kind in ("end", "start", "freeze", "thaw"):
            yield from _life(event)


def _strike(fault: Fault, event: Event, until: float | None, effects: int) -> Mark:
    facts = ", ".join(f"{name} {value}" for name, value in fault.facts.items())
    more = f" ({facts})" if facts else ""
    lasting = f", for {until - event.at:.1f} s" if until is not None else ""
    return Mark(
        lane="faults",
        shape="strike" if until is None else "outage",
        at=event.at,
        step=event.step,
        until=until,
        label=f"{fault.kind} {fault.target}".strip(),
        text=f"Fault {fault.number}: {fault.kind} {fault.target}{more}{lasting}.",
        tone="fault",
        count=max(1, effects),
    )


def _life(event: Event) -> Iterator[Mark]:
    node, number = str(event.facts[0]), event.facts[1] if len(event.facts) > 1 else ""
    texts = {
        "end": (f"{node} ends", f"{node} {_reason(event)}"),
        "start": (f"{node} starts", f"{node} starts (run {number})"),
        "freeze": (f"{node} frozen", f"{node} is frozen"),
        "thaw": (f"{node} goes on", f"{node} goes on"),
    }
    label, text = texts[event.kind]
    if event.kind == "start" and number == 1:
        return
    yield Mark(
        lane="faults",
        shape="start" if event.kind in ("start", "thaw") else "crash",
        at=event.at,
        step=event.step,
        label=label,
        text=f"{text}.",
        tone=_tone(event),
    )


def _tone(event: Event) -> Tone:
    if event.kind in ("start", "thaw"):
        return "good"
    return "plain" if event.kind == "end" and event.facts[2] == "exited" else "bad"


def _reason(event: Event) -> str:
    reason = str(event.facts[2]) if event.kind == "end" else ""
    return {"killed": "is killed", "power cut": "loses power"}.get(reason, f"ends: {reason}")
