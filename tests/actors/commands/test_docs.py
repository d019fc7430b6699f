"""The reference documents: complete, current, and what makes a stale one known."""

import json
from pathlib import Path

import pytest

from actors.cli import COMMANDS
from actors.commands.docs import DOCUMENTS
from actors.domain.events import EVENT_TYPES
from actors.gateway.problem_table import PROBLEMS
from actors.settings import Settings
from actors.system import METRICS
from runtime import signals
from runtime.config import describe
from tests.harness.command import run

ROOT = Path(__file__).parent.parent.parent.parent


def test_the_files_are_what_the_code_says() -> None:
    done = run("docs", "all", "--check", cwd=ROOT)
    assert done.returncode == 0, f"{done.stdout}\nmake docs writes them again"
    assert done.stdout.count("ok  ") == len(DOCUMENTS)
    files = {path.name for path in (ROOT / "docs").iterdir()}
    assert files == {file for file, _ in DOCUMENTS.values()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_is_the_same_in_every_process(tmp_path: Path, name: str) -> None:
    one = run("docs", name, cwd=tmp_path, variables={"PYTHONHASHSEED": "1", "COLUMNS": "60"})
    two = run("docs", name, cwd=tmp_path, variables={"PYTHONHASHSEED": "2", "NO_COLOR": "1"})
    assert one.stdout == two.stdout
    assert one.stdout == (ROOT / "docs" / DOCUMENTS[name][0]).read_text()


def test_a_stale_file_is_told_with_what_differs(tmp_path: Path) -> None:
    assert run("docs", "all", "--out", "docs", cwd=tmp_path).returncode == 0
    assert run("docs", "all", "--check", cwd=tmp_path).returncode == 0
    path = tmp_path / "docs" / "problems.md"
    path.write_text(path.read_text().replace("## forbidden", "## forbidding"))
    stale = run("docs", "all", "--check", cwd=tmp_path)
    assert stale.returncode == 1
    assert "-## forbidding\n+## forbidden" in stale.stdout
    assert "ordermill docs problems --out" in stale.stderr
    assert run("docs", "cli", "--check", cwd=tmp_path).returncode == 0
    path.unlink()
    assert run("docs", "problems", "--check", cwd=tmp_path).returncode == 1
    assert run("docs", "all", cwd=tmp_path).returncode == 2, "where to?"


def test_nothing_is_left_out() -> None:
    text = {name: make() for name, (_, make) in DOCUMENTS.items()}
    for setting in describe(Settings):
        assert f"| `{setting.key}` |" in text["config"]
    for name in (*COMMANDS, "sim", "bench"):
        assert f"## ordermill {name}\n" in text["cli"]
    assert "## ordermill store migrate\n" in text["cli"]
    for metric in (*signals.METRICS, *METRICS):
        assert f"| `ordermill_{metric.name}` |" in text["metrics"]
    for name in EVENT_TYPES:
        assert text["orders"].count(f"| `{name}` |") >= 1
    assert "| `payment_failed` | `payment-auth-failed` |" in text["orders"]
    for slug in PROBLEMS:
        assert f"## {slug}\n" in text["problems"]
    assert json.loads(text["openapi"])["openapi"] == "3.1.0"
    assert json.loads(text["asyncapi"])["asyncapi"] == "3.0.0"
