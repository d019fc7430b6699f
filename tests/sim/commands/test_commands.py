"""``ordermill sim`` as a person meets it: what it prints, what it writes, and how it exits."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from actors.cli import main
from sim import customers, outcome, shrink
from sim.corpus import FOLDER
from sim.plan import Plan
from sim.run import Result, Running, Violation, run
from tests.sim.plans import plan

Sim = Callable[..., tuple[int, str, str]]
CLAIM = "what was cancelled stays cancelled"


@pytest.fixture(autouse=True)
def _small_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Draw two orders instead of twenty, in a folder of our own."""

    def draw(scenario: str, seed: int, **_wishes: object) -> Plan:
        return msgspec.structs.replace(plan(seed), scenario=scenario)

    monkeypatch.setattr(outcome, "draw", draw)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(name="sim")
def _sim(capsys: pytest.CaptureFixture[str]) -> Sim:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(["sim", *arguments])
        told = capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return exited.value.code, told.out, told.err

    return call


@pytest.fixture(name="broken")
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge every run with a cancelled order as a failure."""

    def judged(plan_: Plan, **given: Any) -> Result:
        kept: list[Running] = []
        attach = given.pop("attach", None)

        def watch(running: Running) -> None:
            kept.append(running)
            if attach is not None:
                attach(running)

        result = run(plan_, attach=watch, **given)
        found = [
            Violation("stays-cancelled", CLAIM, f"{commit.values['stream']} <was> cancelled")
            for commit in kept[0].world.witness.commits
            if commit.values.get("type") == "order-cancelled"
        ]
        return msgspec.structs.replace(result, violations=found)

    monkeypatch.setattr(outcome, "run", judged)
    monkeypatch.setattr(shrink, "_WEIGHT_MAX", 0)  # no race is looked for: the own seed will do


RUN = ("run", "everything", "--seed-base", "1", "--check-determinism", "0")


def test_a_sweep_that_passes_says_how_to_do_it_again(sim: Sim) -> None:
    code, out, _ = sim(*RUN, "--seeds", "2", "--jobs", "2")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "replay any line with: ordermill sim replay SCENARIO:SEED"
    assert "generated 2 (base 0x1)" in out
    assert "sim corpus add" not in out
    assert "LIVENESS  longest after heal: " in out
    assert "2 passed, 0 failed" in lines[-2]
    assert lines[-1] == "again    ordermill sim run everything --seeds 2 --seed-base 0x1"


@pytest.mark.usefixtures("broken")
def test_a_failure_is_shrunk_reported_and_replayed(sim: Sim) -> None:
    code, out, err = sim(*RUN, "--seed", "0x7", "--shrink-budget", "60")
    assert code == 1
    assert out.splitlines()[0] == "replay   ordermill sim replay everything:0x7"
    assert "FAIL everything:0x7  property stays-cancelled (safety)" in out
    assert "shrunk 0 -> 0 faults, 2 -> 1 orders" in out
    assert ", 2 runs identical" in out
    assert "looking into everything:0x7" in err
    assert 'ordermill sim corpus add .ordermill/sim/everything-0x7 --why "..."' in out
    last = out.splitlines()[-1]
    assert last.startswith("replay   ordermill sim replay everything:")
    again, told, _ = sim("replay", last.split()[-1])
    assert again == 1
    assert "FAIL stays-cancelled (safety)" in told
    assert "Customer o2 cancels" in told
    assert ", 3 runs identical" in told
    folder = Path(".ordermill/sim/everything-0x7")
    written = {path.name for path in folder.iterdir()}
    assert written == {
        "faults.json", "junit.xml", "log.txt", "plan.json", "report.html", "result.json",
        "timeline.svg", "trace.jsonl",
    }  # fmt: skip
    result = json.loads((folder / "result.json").read_text())
    assert result["schema"] == "ordermill.sim.result/v1"
    assert result["shrunk"]["orders"] == 2
    _check_page((folder / "report.html").read_text())


def _check_page(page: str) -> None:
    """It stands alone, escapes what it quotes, and holds what the script looks for."""
    parsed = _Page()
    parsed.feed(page)
    assert parsed.open == []
    assert parsed.outside == []
    assert "&lt;was&gt; cancelled" in page
    assert "<was>" not in page
    scene = json.loads(parsed.data)
    assert {"marks", "links", "view", "glyphs"} <= set(scene)
    assert all(len(row) == 11 for row in scene["marks"])
    for name in ("order", "axis", "near", "all", "in", "out", "first-fault", "failure", "range"):
        assert name in parsed.ids


class _Page(HTMLParser):
    void = ("meta", "link", "input", "br", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.ids: set[str] = set()
        self.data = ""
        self._reading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.ids.add(facts.get("id") or "")
        self._reading = facts.get("id") == "scene"
        links = [facts.get("href") or "", facts.get("src") or ""]
        self.outside += [link for link in links if "//" in link]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._reading = False

    def handle_data(self, data: str) -> None:
        if self._reading:
            self.data += data


@pytest.mark.parametrize(
    ("option", "text"),
    [("--max-virtual=4s", "4 s of virtual time are over"), ("--max-steps=3000", "3000 steps, at ")],
)
def test_a_run_ends_at_its_limit_and_its_replay_does_so_too(
    sim: Sim, option: str, text: str
) -> None:
    code, out, _ = sim(*RUN, "--seed", "7", "--no-shrink", "--jobs", "auto", option)
    assert code == 1
    assert "FAIL everything:0x7  property progress (liveness)" in out, out
    assert text in out
    code, out, _ = sim("replay", out.splitlines()[-1].split()[-1])
    assert code == 1
    assert text in out
    assert out.count("FAIL") == 1, "what was yet to come is not owed"


def test_a_profile_of_the_file_says_how_large_a_sweep_is(sim: Sim) -> None:
    Path("ordermill.toml").write_text("[sim.ci]\nseeds = 1\ncheck_determinism = 0\norders = 3\n")
    code, out, _ = sim("run", "everything", "--seed-base", "1", "--profile", "ci")
    assert code == 0
    assert "1 passed" in out
    assert out.splitlines()[-1].endswith("--seeds 1 --seed-base 0x1 --orders 3")
    Path("ordermill.toml").write_text("[sim.ci]\nseeds = 0\n")
    code, _, err = sim("run", "everything", "--profile", "ci")
    assert code == 2
    assert "ordermill.toml:2: sim.ci.seeds: expected an integer >= 1" in err


def test_the_last_line_repeats_the_limits(sim: Sim) -> None:
    code, out, _ = sim(*RUN, "--seeds", "1", "--max-virtual", "0.5h", "--max-steps", "900000")
    assert code == 0
    assert out.splitlines()[-1].endswith(" --max-steps 900000 --max-virtual 1800s")


@pytest.mark.usefixtures("broken")
def test_one_failure_of_many_is_looked_into_and_the_rest_is_listed(sim: Sim) -> None:
    code, out, _ = sim(*RUN, "--seeds", "3", "--no-shrink", "--format", "junit")
    assert code == 1
    assert ElementTree.fromstring(out).get("failures") == "3"
    assert len(list(Path(".ordermill/sim").glob("*/report.html"))) == 1
    code, out, _ = sim(*RUN, "--seeds", "3", "--no-shrink", "--fail-fast", "--jobs", "1")
    assert "0 passed, 1 failed, 2 not run" in out


def test_json_is_the_whole_of_standard_output(sim: Sim) -> None:
    code, out, _ = sim(*RUN, "--seeds", "1", "--format", "json")
    told = json.loads(out)
    assert code == 0
    assert told["schema"] == "ordermill.sim.summary/v1"
    assert (told["passed"], told["failed"], told["exit_code"]) == (1, 0, 0)


def test_a_replay_that_goes_another_way_says_where(
    sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = sim("replay", "everything:7")
    assert code == 0
    assert "passed" in out
    code, out, _ = sim("replay", "everything:7")
    assert code == 0
    monkeypatch.setattr(customers, "LOOK_S_MIN", 0.2)
    code, out, _ = sim("replay", ".ordermill/sim/everything-0x7")
    assert code == 4
    assert "first difference at step" in out
    assert "recorded" in out


def test_a_replay_warns_of_other_versions(sim: Sim) -> None:
    sim("replay", "everything:7")
    path = Path(".ordermill/sim/everything-0x7/result.json")
    text = path.read_text().replace('"aiormq": "', '"aiormq": "0.')
    path.write_text(text)
    code, _, err = sim("replay", "everything:7")
    assert code == 0
    assert "warning: recorded with" in err
    assert "aiormq 0." in err
    assert sim("replay", "everything:7", "--ignore-version")[2] == ""


def test_a_replay_stops_where_it_is_told(sim: Sim) -> None:
    code, out, _ = sim("replay", "everything:7", "--until", "200")
    assert code == 0
    assert out.splitlines()[-1].split()[0] == "200"
    code, out, _ = sim("replay", "everything:7", "--break-on", "fault 1")
    assert code == 1
    assert "the run ended before" in out


def test_two_runs_are_compared(sim: Sim) -> None:
    code, out, _ = sim("diff", "everything:7", "everything:0x7")
    assert (code, out[:8]) == (0, "the same")
    code, out, _ = sim("diff", "everything:7", "everything:8")
    assert code == 1
    assert "everything:8" in out


@pytest.mark.usefixtures("broken")
def test_shrink_writes_the_small_run(sim: Sim) -> None:
    code, out, err = sim("shrink", "everything:7", "--budget", "60")
    assert code == 0
    assert "2 -> 1 orders" in out
    assert err.startswith("guess")
    code, out, _ = sim("shrink", "everything:7", "--violation", "another")
    assert code == 1
    assert "stays-cancelled" in out


@pytest.fixture(name="swept")
def _swept(sim: Sim) -> Sim:
    sim(*RUN, "--seeds", "2")
    return sim


def test_the_index_shows_the_sweep_and_the_reports(swept: Sim) -> None:
    swept("replay", "everything:7")
    code, out, _ = swept("view")
    assert code == 0
    page = Path(out.strip()).read_text()
    assert page.count('class="passed" data-property') == 2
    assert 'href="everything-0x7/report.html"' in page
    assert swept("probes")[0] == 1, "two runs do not give every property a case"


def test_the_corpus_runs_first(sim: Sim) -> None:
    code, out, _ = sim(
        "corpus", "add", "everything:7", "--why", "it was the first", "--name", "one"
    )
    assert code == 0
    assert (FOLDER / "one.json").is_file()
    _, out, _ = sim("corpus", "list")
    assert "it was the first" in out
    code, out, _ = sim(*RUN, "--seeds", "1")
    assert code == 0
    assert "corpus 1 + generated 1" in out
    assert out.splitlines()[3].split()[:2] == ["corpus", "1/1"]
    assert sim("replay", "one")[0] == 0


def test_the_list_names_everything(sim: Sim) -> None:
    code, out, _ = sim("list", "--format", "json")
    told = json.loads(out)
    assert code == 0
    assert "everything" in told["scenarios"]
    assert "kill" in told["faults"]
    assert "no_capture_twice" in told["properties"]
    assert "no-inbox" in told["mutations"]
    assert all(text for table in ("faults", "properties") for text in told[table].values())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "nothing"), "there is no scenario nothing"),
        (("run", "--faults", "lightning"), "there is no kind lightning"),
        (("run", "--seed", "zz"), "is no seed"),
        (("run", "--check-determinism", "often"), "is no share"),
        (("run", "--max-virtual", "1d"), "is no duration: expected 90s, 1.5m or 1h"),
        (("run", "--max-virtual", "0"), "it must be more than 0"),
        (("run", "--jobs", "none"), "is no number of jobs"),
        (("replay", "everything"), "is no run"),
        (("mutate", "nothing"), "there is no mutation nothing"),
        (("probes",), "no sweep is recorded"),
    ],
)
def test_bad_input_is_named_and_exits_with_2(
    sim: Sim, arguments: tuple[str, ...], told: str
) -> None:
    code, _, err = sim(*arguments)
    assert code == 2
    assert told in err
