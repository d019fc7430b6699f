"""A profile of the stretch that a meter measures, and of nothing else."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import bench.sampling
from bench.budget import PREFIX
from bench.case import Round
from bench.meter import Meter
from bench.sample import Sample
from bench.sampling import Inside, Outside, sampled
from runtime.telemetry import Telemetry

BUSY_S = 0.3


def spin(seconds: float) -> None:
    telemetry = Telemetry(wall=lambda: 0.0, log_level="off")
    end = time.process_time() + seconds
    while time.process_time() < end:
        for _ in range(1000):
            telemetry.count("events_appended_total", type="t")


def task(folder: Path) -> Round:
    return Round(case="c", contender="x", operations=10, folder=folder, kept=folder)


def test_what_is_outside_of_the_measured_stretch_is_not_counted(tmp_path: Path) -> None:
    def run(_task: Round) -> Sample:
        meter = Meter()
        spin(BUSY_S)
        with meter.running():
            spin(BUSY_S)
        spin(BUSY_S)
        return meter.sample(10)

    sample = sampled(Inside(), run, task(tmp_path))
    assert Meter.watch is None
    counted = sum(sample.figures.values()) * sample.operations / 1e6
    assert counted == pytest.approx(sample.cpu_s, rel=0.3)
    assert sample.figures[f"{PREFIX}telemetry"] == max(sample.figures.values())


def test_another_process_counts_when_it_is_told_and_writes_what_it_found(tmp_path: Path) -> None:
    module = tmp_path / "busy_module.py"
    module.write_text("from tests.bench.test_sampling import serve\nserve()\n")
    watch = Outside(tmp_path)
    with subprocess.Popen(
        [*watch.python, "-m", "busy_module"],
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": f"{tmp_path}:."},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"

        def run(_task: Round) -> Sample:
            meter = Meter([child.pid])
            with meter.running():
                child.stdin.write("\n")  # type: ignore[union-attr]
                child.stdin.flush()  # type: ignore[union-attr]
                assert child.stdout.readline() == "done\n"  # type: ignore[union-attr]
            return meter.sample(10)

        sample = sampled(watch, run, task(tmp_path))
        child.stdin.close()
    counted = sum(sample.figures.values()) * sample.operations / 1e6
    assert counted == pytest.approx(BUSY_S, rel=0.5)
    assert sample.figures[f"{PREFIX}telemetry"] == max(sample.figures.values())


def test_a_process_that_writes_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.sampling, "WRITTEN_S_MAX", 0.05)
    with subprocess.Popen(["sleep", "60"]) as deaf:
        wanted = f"process {deaf.pid} wrote no profile.json"
        with pytest.raises(TimeoutError, match=wanted):
            Outside(tmp_path).end([deaf.pid])


def serve() -> None:
    """Be busy when told to."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    spin(BUSY_S)
    sys.stdout.write("done\n")
    sys.stdout.flush()
    sys.stdin.read()
