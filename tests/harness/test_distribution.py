"""Tests on several workers: nothing is torn apart, nothing is lost, and who hangs is named."""

import subprocess
import sys
from pathlib import Path

from tests.harness.distribution import IN_ONE_PLACE, IN_ONE_PLACE_EACH, LONG_FIRST, group, rank

ROOT = Path(__file__).parent.parent.parent

CONFTEST = """
from tests.harness.distribution import LongFirst

def pytest_xdist_make_scheduler(config, log):
    return LongFirst(config, log)
"""
TWO_HANG = """
import pytest, threading

@pytest.mark.parametrize("number", range(40))
def test_it(number):
    if number in (3, 4):
        threading.Event().wait()
"""


def test_every_place_that_is_named_exists() -> None:
    for place in (*LONG_FIRST, *IN_ONE_PLACE, *IN_ONE_PLACE_EACH):
        assert (ROOT / place).exists(), place


def test_long_ones_come_first_and_what_is_made_once_stays_in_one_place() -> None:
    apart = "tests/end_to_end/test_apart.py::test_one"
    other = "tests/end_to_end/test_apart.py::test_two"
    assert group(f"{apart}[rabbitmq]") == group(f"{other}[rabbitmq]") != group(f"{apart}[embedded]")
    assert group("tests/test_tidy.py::test_a[x]") == group("tests/test_tidy.py::test_b[y]")
    flows = "tests/end_to_end/test_flows.py::test_one"
    assert group(f"{flows}[rabbitmq]") != group(f"{flows}[embedded]")
    assert rank("tests/chaos/test_campaign.py::test_it") < rank(flows) < rank("tests/test_tidy.py")


def test_tests_that_hang_are_named_and_all_others_are_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_two_hang.py").write_text(TWO_HANG)
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {ROOT}\nfaulthandler_timeout = 2\n"
        "faulthandler_exit_on_timeout = true\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "2 failed, 38 passed" in done.stdout, done.stdout + done.stderr
    for number in (3, 4):
        assert f"crashed while running 'test_two_hang.py::test_it[{number}]'" in done.stdout
    assert 'test_two_hang.py", line 7 in test_it' in done.stderr, done.stderr
    assert done.returncode == 1
