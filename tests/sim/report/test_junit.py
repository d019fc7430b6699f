"""What machines read: JUnit's XML, and GitHub's lines."""

from xml.etree import ElementTree

from sim.outcome import Outcome
from sim.report.junit import github, junit
from sim.run import Violation

FOUND = Violation("captured-once", "captures <= 1", "o3 & o4:\n<twice>\x07 100%", step=7, at=1.5)
FAILED = Outcome(scenario="cancel-races", seed=0x7F3A91, plan_hash="b81e", violations=[FOUND])


def test_each_failure_is_a_case_with_its_replay_line() -> None:
    passed = Outcome(scenario="everything", seed=1)
    root = ElementTree.fromstring(junit([FAILED, passed], {"everything": 12}))
    assert root.get("tests") == "2"
    assert root.get("failures") == "1"
    failure = root.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "captured-once"
    assert "replay: ordermill sim replay cancel-races:0x7f3a91:b81e" in (failure.text or "")
    assert "<twice>" in (failure.text or "")
    names = [case.get("name") for case in root.iter("testcase")]
    assert names == ["cancel-races:0x7f3a91", "everything: 12 seeds passed"]


def test_github_gets_one_line_a_failure() -> None:
    [line] = github([FAILED, Outcome(scenario="everything", seed=1)])
    assert "\n" not in line
    assert line.startswith("::error title=sim cancel-races::captured-once cancel-races:0x7f3a91")
    assert "%0A<twice>" in line
    assert "100%25" in line
