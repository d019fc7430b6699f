"""The folder of one run: what is in it, how it is written, and how a run is read back from it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from runtime.errors import ConfigurationError
from sim import plan as plans
from sim.outcome import Task, outcome_of
from sim.plan import Plan
from sim.provenance import Provenance
from sim.report.drawing import draw
from sim.report.folding import folded
from sim.report.junit import junit
from sim.report.page import first_view, page
from sim.report.recording import Recorded
from sim.report.result import Before, Report, ShrunkFrom, report_of, to_json
from sim.token import Token, seed_text
from sim.trace_files import write_trace

REPORTS = Path(".ordermill/sim")
REPLAY = "ordermill sim replay"


def folder_name(token: Token) -> str:
    """Return the name of a run's folder below the reports' one."""
    return f"{token.scenario}-{seed_text(token.seed)}"


def write_run(
    folder: Path,
    task: Task,
    recorded: Recorded,
    provenance: Provenance,
    shrunk: ShrunkFrom | None = None,
    before: Before | None = None,
) -> Report:
    """Write everything about a run into its folder; what was there is replaced."""
    result = recorded.result
    report = report_of(task, result, provenance, shrunk, before)
    scene = folded(recorded.scene)
    shown = msgspec.structs.replace(recorded, scene=scene)
    outcome = outcome_of(task, result, 0.0)
    faults = msgspec.json.encode(result.plan.faults, order="deterministic")
    folder.mkdir(parents=True, exist_ok=True)
    write_trace(folder / "trace.jsonl", recorded.events)
    texts = {
        "result.json": to_json(report).decode(),
        "plan.json": _readable(plans.to_json(result.plan)),
        "faults.json": _readable(faults),
        "log.txt": "\n".join(recorded.log),
        "timeline.svg": draw(scene, first_view(scene), standalone=True),
        "junit.xml": junit([outcome], {task.scenario: int(outcome.passed)}),
        "report.html": page(shown, report, f"{REPLAY} {folder}"),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return report


def _readable(data: bytes) -> str:
    return msgspec.json.format(data, indent=1).decode()


def read_report(folder: Path) -> Report | None:
    """Read a run's result; None where there is none."""
    try:
        return msgspec.json.decode((folder / "result.json").read_bytes(), type=Report)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{folder / 'result.json'}: {error}") from error


def read_plan(folder: Path) -> Plan:
    """Read a run's plan; `ConfigurationError` where there is none."""
    path = folder if folder.is_file() else folder / "plan.json"
    try:
        return plans.read_plan(path)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} is not there") from error
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def folders(reports: Path) -> Iterator[Path]:
    """Yield the folders of runs below the reports' folder, by name."""
    if reports.is_dir():
        yield from sorted(path.parent for path in reports.glob("*/plan.json"))
