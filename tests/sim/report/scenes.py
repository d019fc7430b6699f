"""Made-up scenes, for tests of how they are drawn."""

from sim.report.scene import LANES, Down, Mark, OrderLine, Phase, Scene


def mark(at: float, *, lane: str = "order-events", step: int = 0, **given: object) -> Mark:
    """Return a mark."""
    facts = {"shape": "event", "label": f"at {at:g}", "text": f"It is {at:g}.", **given}
    return Mark(lane=lane, at=at, step=step or int(at * 100) + 1, **facts)  # type: ignore[arg-type]


def scene(marks: list[Mark], *, focus: Mark | None = None, end_s: float = 60.0) -> Scene:
    """Return a scene with these marks."""
    return Scene(
        lanes=LANES,
        marks=marks,
        links=[],
        downs=[Down("shop", ("order-events", "payment"), 2.0, 3.0, "killed")],
        phases=[Phase("heal", 30.0, 3001)],
        orders=[OrderLine(1, "ord_1", ("order-created",))],
        end_s=end_s,
        events=len(marks),
        focus_step=0 if focus is None else focus.step,
        focus_s=0.0 if focus is None else focus.at,
        focus_order=0 if focus is None else focus.order,
    )
