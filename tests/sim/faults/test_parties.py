"""What provider, carrier and mailer do: a time-out never says that nothing happened."""

from typing import Any

import pytest

from tests.sim.faults.small import strike

CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("call-lost", "provider", "capture", {}),
    ("answer-lost", "provider", "authorise", {}),
    ("answer-lost", "provider", "capture", {}),
    ("answer-lost", "carrier", "prepare", {}),
    ("answer-lost", "mailer", "send", {}),
    ("call-refused", "provider", "authorise", {}),
    ("call-late", "provider", "capture", {"late_s": 10.0}),
    ("answer-late", "provider", "capture", {"late_s": 1.0}),
]


@pytest.mark.parametrize(("kind", "party", "only", "facts"), CASES)
def test_a_call_in_trouble_is_made_good(
    kind: str, party: str, only: str, facts: dict[str, Any]
) -> None:
    struck = strike(kind, party, only=only, left=1, **facts)
    assert struck.effects == {kind: 1}
    assert struck.breaches == []
    retried = struck.incidents("message.retry") > 2  # two are the flaky card's
    assert retried == (kind != "answer-late")
