"""The report: one HTML file that needs nothing else, and says first what went wrong."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import Environment, StrictUndefined, Template

from sim.probes.table import PROBES
from sim.report.drawing import GLYPHS, HATCH, View, draw, shown
from sim.report.ledgers import WORKERS, coverage_of, ledger_of, parameters_of
from sim.report.recording import Recorded
from sim.report.result import Report
from sim.report.scene import Mark, OrderLine, Scene
from sim.report.story import story_of
from sim.report.verdicts import verdicts_of
from sim.run import Violation
from sim.token import seed_text
from sim.trace_files import show

# An event's id within a longer key is left as it is.
_ID = re.compile(r"\bord_\w+|(?<![\w.])evt_\w+(?![\w.])")
NEAR = 40
STEPS_SHOWN = 40
DOWNLOADS = (
    "result.json", "plan.json", "faults.json", "trace.jsonl", "log.txt", "timeline.svg",
    "junit.xml",
)  # fmt: skip


class _Focus(msgspec.Struct, frozen=True):
    step: int
    at: float
    order: int


def first_view(scene: Scene) -> View:
    """Return what is shown first: the marks round the violation; of a run that passed, one order.

    Of an order that the violation names, only what concerns it.
    """
    order = scene.focus_order if scene.focus_step else _fullest(scene)
    whole = View(0.0, scene.end_s, order)
    marks = [mark for _, mark in shown(scene, whole)]
    if not marks:
        return whole
    if scene.focus_step:
        at = next((n for n, one in enumerate(marks) if one.step >= scene.focus_step), len(marks))
        near = marks[max(0, at - NEAR * 3 // 4) : at + NEAR // 4 + 1]
    else:
        near = marks[: 2 * NEAR]
    return View(near[0].at, max(scene.focus_s, near[-1].at), order)


def _fullest(scene: Scene) -> int:
    """Return the order with the most events: it shows most of what the system does."""
    return max(scene.orders, key=lambda one: len(one.events), default=OrderLine(0, "", ())).number


def page(recorded: Recorded, report: Report, replay: str) -> str:
    """Return the report as HTML. ``replay`` is the command that shows the run again.

    The template escapes everything but what is made here as markup: picture, styles, script, data.
    """
    scene, view = recorded.scene, first_view(recorded.scene)
    plan = recorded.result.plan
    focus = _Focus(scene.focus_step, scene.focus_s, scene.focus_order)
    names = _names_in(scene)
    violations = [_plain(found, names) for found in report.violations]
    context: dict[str, Any] = {
        "report": report,
        "seed": seed_text(report.seed),
        "first": violations[0] if violations else None,
        "broken": list(_by_name(violations).items()),
        "focus": focus,
        "fired_total": sum(report.fired.values()),
        "replay": replay,
        "plan": plan,
        "verdicts": verdicts_of(report),
        "reached": sorted((name, count) for name, count in report.probes.items() if count),
        "unreached": [name for name in PROBES if not report.probes.get(name)],
        "scene": scene,
        "view": view,
        "picture": draw(scene, view, standalone=False),
        "focus_story": story_of(scene, focus.order) if focus.order else [],
        "stories": list(_stories(scene, focus.order)),
        "ledger": ledger_of(plan, recorded.events),
        "steps": list(_steps(recorded)),
        "states": recorded.states,
        "stream": _stream(scene),
        "parameters": parameters_of(plan),
        "coverage": coverage_of(scene),
        "coverage_lanes": WORKERS,
        "downloads": DOWNLOADS,
        "css": _asset("palette.css") + _asset("picture.css") + _asset("style.css"),
        "script": _asset("script.js"),
        "data": _data(scene, view),
    }
    return _template().render(context)


def _names_in(scene: Scene) -> dict[str, str]:
    """Return how people call the orders and the events of a run, by id."""
    names = {order.id: f"o{order.number}" for order in scene.orders if order.id}
    for mark in scene.marks:
        if mark.shape == "event" and mark.order:
            names[mark.thread] = f"{mark.label.partition(' ')[2]} of o{mark.order}"
    return names


def _plain(found: Violation, names: dict[str, str]) -> dict[str, Any]:
    """Return a violation for the page, with orders and events as people know them."""
    text = _ID.sub(lambda one: names.get(one[0], one[0]), found.text)
    return {**msgspec.structs.asdict(found), "text_plain": text}


def _by_name(violations: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in violations:
        found.setdefault(one["name"], []).append(one)
    return found


def _stories(scene: Scene, focus: int) -> Iterator[tuple[OrderLine, list[Mark]]]:
    for order in scene.orders:
        if order.number != focus:
            yield order, story_of(scene, order.number)


def _steps(recorded: Recorded) -> Iterator[tuple[str, bool]]:
    """Yield the trace's lines before the violation (or the end), and whether it is at the line."""
    step = recorded.scene.focus_step or len(recorded.events)
    for event in recorded.events[max(0, step - STEPS_SHOWN) : step]:
        yield show(event), event.step == recorded.scene.focus_step


def _stream(scene: Scene) -> list[Mark]:
    """Return the events of the order that matters, or of all."""
    events = [mark for mark in scene.marks if mark.shape == "event"]
    own = [mark for mark in events if mark.order == scene.focus_order]
    return own if scene.focus_order else events[-STEPS_SHOWN:]


def _data(scene: Scene, view: View) -> str:
    """Return the scene for the script, as JSON that cannot end a script element."""
    shapes = sorted({mark.shape for mark in scene.marks})
    data = {
        "lanes": scene.lanes,
        "shapes": shapes,
        "glyphs": GLYPHS,
        "hatch": HATCH,
        "marks": [_row(mark, scene.lanes, shapes) for mark in scene.marks],
        "links": scene.links,
        "downs": [(one.lanes, one.at, one.until, f"{one.node}: {one.why}") for one in scene.downs],
        "phases": [(one.name, one.at) for one in scene.phases],
        "end": scene.end_s,
        "focus": {"step": scene.focus_step, "at": scene.focus_s},
        "view": {
            "begin": view.begin_s, "end": view.end_s, "order": view.order, "axis": view.axis,
        },
    }  # fmt: skip
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


def _row(mark: Mark, lanes: Sequence[str], shapes: Sequence[str]) -> list[Any]:
    return [
        lanes.index(mark.lane),
        shapes.index(mark.shape),
        round(mark.at, 6),
        None if mark.until is None else round(mark.until, 6),
        mark.step,
        mark.order,
        mark.tone,
        int(mark.torn),
        mark.count,
        mark.label,
        mark.text,
    ]


def _asset(name: str) -> str:
    return (files("sim.report") / name).read_text()


@cache
def _template() -> Template:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return made.from_string(_asset("page.html.j2"))
