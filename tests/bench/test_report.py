import re
from pathlib import Path

import pytest

from bench.budget import budget
from bench.machine import Machine
from bench.report import BEGIN, END, NOT_YET, markdown, parts_table, with_table
from bench.results import CaseResult, ContenderResult, Results, load_results, merged, save
from bench.sample import Latency, Sample
from bench.targets import TARGETS, judge
from tests.harness.command import run

ROOT = Path(__file__).parents[2]
CHECKED_IN = ROOT / "bench" / "results" / "bench.json"
MACHINE = Machine(
    cores=2,
    cpu="c",
    memory_gib=4,
    system="s",
    python="p",
    sqlite="q",
    packages={},
    load_before=0.5,
)


def contender(role: str, *cpu_s: float, **figures: float) -> ContenderResult:
    samples = [
        Sample(
            operations=1000,
            wall_s=2.0,
            cpu_s=seconds,
            memory_mib=50.0,
            latency=Latency.of([0.001, 0.002]),
            figures=figures,
        )
        for seconds in cpu_s
    ]
    return ContenderResult(role=role, how="how & why", guarantees="none", samples=samples)  # type: ignore[arg-type]


def results(pykka_s: float = 0.8) -> Results:
    mailbox = CaseResult(
        title="tell",
        operation="message",
        contenders={
            "ordermill": contender("ours", 0.1, 0.1, 0.1),
            "bare": contender("limit", 0.06, 0.06, 0.06),
            "pykka": contender("rival", pykka_s, pykka_s, pykka_s),
        },
    )
    stages = {"us: fold": 30.0, "us: HTTP": 70.0}
    measured = CaseResult(
        title="budget",
        operation="order",
        contenders={"ordermill": contender("ours", 0.1, **stages)},
    )
    cases = {"mailbox": mailbox, "budget": measured}
    return Results(at="2026-01-01T00:00:00Z", commit="abc", machine=MACHINE, cases=cases)


def test_the_readme_shows_what_is_checked_in() -> None:
    readme = (ROOT / "README.md").read_text()
    table = NOT_YET
    if CHECKED_IN.exists():
        kept = load_results(CHECKED_IN)
        table = markdown(kept, judge(kept, list(kept.cases)))
    assert with_table(readme, table) == readme


def test_a_target_is_met_by_the_median_ratio() -> None:
    rows = {row.target.what: row for row in judge(results(), ["mailbox"])}
    (tell,) = [row for what, row in rows.items() if "Pykka" in what]
    assert (tell.verdict, tell.failed) == ("met", False)
    assert tell.figure() == "8x (8 .. 8), the bare limit 13.3x"


def test_a_must_below_its_bound_fails() -> None:
    rows = judge(results(pykka_s=0.5), ["mailbox"])
    assert [row.verdict for row in rows] == ["NOT MET", "met"]
    assert rows[0].failed


def test_every_target_is_of_a_case_and_contenders_that_there_are() -> None:
    from bench.case import load_case

    for target in TARGETS:
        measure = target.measure
        names = [one.name for one in load_case(measure.case).contenders]
        fields = [name for name in ("over", "under", "contender") if hasattr(measure, name)]
        assert fields
        assert [getattr(measure, name) in names for name in fields] == [True] * len(fields)


def test_the_budget_is_sorted_and_adds_up() -> None:
    rows = budget(results().samples("budget", "ordermill"))
    assert rows == [("HTTP", 70.0, 0.7), ("fold", 30.0, 0.3)]


def test_the_parts_stand_side_by_side_the_dearest_stage_first() -> None:
    append = contender("ours", 0.1, **{"us: append": 30.0, "us: COMMIT": 5.0})
    request = contender("ours", 0.1, **{"us: HTTP": 400.0, "us: append": 20.0})
    case = CaseResult(title="t", operation="o", contenders={"append": append, "http": request})
    assert parts_table(case) == [
        ("stage", "append", "http"),
        ("HTTP", "", "400"),
        ("append", "30", "20"),
        ("COMMIT", "5", ""),
        ("all", "35", "420"),
    ]


def test_a_readme_without_a_place_for_the_table_is_refused() -> None:
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(ValueError, match="no part between"):
        with_table("a", "new")


def test_newer_cases_replace_older_ones_and_the_others_stay(tmp_path: Path) -> None:
    older, newer = results(), results(pykka_s=9.0)
    del newer.cases["budget"]
    save(merged(older, newer), tmp_path / "r.json")
    kept = load_results(tmp_path / "r.json")
    assert kept.samples("mailbox", "pykka")[0].cpu_s == 9.0
    assert "budget" in kept.cases


def test_the_page_holds_its_figures_and_the_same_results_give_the_same_bytes(
    tmp_path: Path,
) -> None:
    save(results(), tmp_path / "r.json")
    for out in ("one", "two"):
        done = run("bench", "report", "r.json", "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two = ((tmp_path / out / "report.html").read_text() for out in ("one", "two"))
    assert one == two
    assert one.count("<svg") == 3
    assert "how &amp; why" in one
    assert not re.search(r'(?:src|href)="(?!#)', one), "the page needs another file"
    assert "| tell into a supervised actor: CPU of Pykka / ours | must |" in done.stdout
