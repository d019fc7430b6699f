"""The commands, with rounds in processes of their own."""

import json
from pathlib import Path

import msgspec
import pytest

from bench import rounds
from bench.case import Round, load_case
from bench.progress import Progress
from bench.results import Results
from bench.rounds import Plan, RoundFailed, run_case, run_round
from bench.sample import Sample
from tests.harness.command import run


def test_contenders_take_turns_and_the_samples_are_kept(tmp_path: Path) -> None:
    asked = ("bench", "run", "ask", "--repeat", "2", "--scale", "0.01")
    done = run(*asked, "--only", "ordermill", "--only", "bare", "--save", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    turns = [line.split()[2] for line in done.stderr.splitlines() if line.startswith("ask")]
    assert turns == ["ordermill", "bare", "ordermill", "bare"]
    kept = json.loads((tmp_path / "r.json").read_text())
    assert kept["schema"] == "ordermill.bench/v1"
    contenders = kept["cases"]["ask"]["contenders"]
    assert [len(one["samples"]) for one in contenders.values()] == [2, 2]
    assert [one["samples"][0]["operations"] for one in contenders.values()] == [1000, 1000]

    same = run("bench", "compare", "r.json", "r.json", "--fail-if", "slower:1%", cwd=tmp_path)
    assert same.returncode == 0
    assert [line.split()[-1] for line in same.stdout.splitlines()] == ["same", "same"]


def test_a_must_that_was_not_measured_is_not_met(tmp_path: Path) -> None:
    asked = ("bench", "run", "mailbox", "--repeat", "1", "--scale", "0.001", "--only", "bare")
    done = run(*asked, "--require-targets", cwd=tmp_path)
    assert done.returncode == 1
    assert "not measured must tell into a supervised actor" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "everything"), "there is no case everything"),
        (("run", "ask", "--only", "nobody"), "ask has no nobody"),
        (("run", "ask", "--rate", "5", "--closed", "5"), "exclude each other"),
        (("run", "ask", "--rate", "0"), "must be above 0"),
        (("run", "ask", "--duration", "2s"), "--duration needs --rate"),
        (("run", "ask", "--threshold", "p99"), "not of the form"),
        (("compare", "missing.json", "missing.json"), "missing.json cannot be read"),
    ],
)
def test_bad_input_is_named(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run("bench", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_round_that_fails_says_what_happened(tmp_path: Path) -> None:
    task = Round(
        case="append",
        contender="sqlite-one",
        operations=1,
        folder=tmp_path / "missing",
        kept=tmp_path,
    )
    with pytest.raises(RoundFailed, match="unable to open database file"):
        run_round(task)


def test_a_rate_and_a_duration_say_how_many_operations_a_round_has(tmp_path: Path) -> None:
    asked = ("bench", "run", "append", "--only", "ordermill", "--repeat", "1", "--format", "json")
    done = run(*asked, "--rate", "200", "--duration", "0.5s", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (sample,) = msgspec.json.decode(done.stdout, type=Results).samples("append", "ordermill")
    assert sample.operations == 100
    assert sample.wall_s > 0.4


@pytest.mark.parametrize("name", ["aiosqlite", "ordermill"])
def test_a_rival_that_fails_twice_is_left_out_and_one_of_ours_ends_the_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    said: list[str] = []

    def run_round(task: Round, *_: object) -> Sample:
        tries.append(task.contender)
        if task.contender == name:
            raise RoundFailed(f"{name} failed: database is locked")
        return Sample(operations=1, wall_s=1.0, cpu_s=1.0, memory_mib=1.0)

    monkeypatch.setattr(rounds, "run_round", run_round)
    plan = Plan(repeats=2, only=("ordermill", "aiosqlite"), work=tmp_path)
    case = load_case("append")
    if name == "ordermill":
        with pytest.raises(RoundFailed, match="database is locked"):
            run_case(case, plan, Progress(said.append))
        return
    samples = run_case(case, plan, Progress(said.append))
    assert {one: len(found) for one, found in samples.items()} == {"ordermill": 2}
    assert tries.count(name) == 2
    assert [line for line in said if "aiosqlite is left out of this run" in line]


def test_what_a_round_has_started_ends_with_it_when_its_time_is_up(tmp_path: Path) -> None:
    task = Round(case="http", contender="quart", operations=10**9, folder=tmp_path, kept=tmp_path)
    with pytest.raises(RoundFailed, match="not done in 3 s"):
        run_round(task, 3.0)
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(tmp_path).encode() in _read(path)
    ]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
