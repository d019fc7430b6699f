"""What disks do: slow, hanging, busy, full, failing; whoever was told yes finds it kept."""

from typing import Any

import pytest

from tests.sim.faults.small import strike

CASES: list[tuple[str, dict[str, Any]]] = [
    ("slow-disk", {"late_s": 0.2}),
    ("disk-stall", {"for_s": 2.0}),
    ("disk-full", {"for_s": 6.0}),
]
ERRORS: list[tuple[str, str, dict[str, Any]]] = [
    ("disk-busy", "before BEGIN IMMEDIATE", {"times": 2}),
    ("disk-full-at", "before COMMIT", {"times": 2, "only": "COMMIT"}),
    ("disk-full-at", "before INSERT", {"times": 1, "only": "INSERT", "after": 3}),
    ("disk-error", "before COMMIT", {"moment": "before", "only": "COMMIT"}),
    ("disk-error", "after COMMIT", {"moment": "after", "only": "COMMIT"}),
    ("disk-error", "before SELECT", {"moment": "before", "only": "SELECT", "after": 4}),
]


@pytest.mark.parametrize(("kind", "facts"), CASES, ids=[row[0] for row in CASES])
def test_a_bad_disk_is_felt_while_it_lasts(kind: str, facts: dict[str, Any]) -> None:
    struck = strike(kind, "shop", **facts)
    assert struck.effects == {kind: 1}
    assert struck.breaches == []


@pytest.mark.parametrize(("kind", "variety", "facts"), ERRORS)
def test_an_error_comes_at_its_statement(kind: str, variety: str, facts: dict[str, Any]) -> None:
    struck = strike(kind, "shop", **facts)
    times = facts.get("times", 1)
    assert struck.effects == {kind: times, f"{kind}/{variety}": times}
    assert len(struck.running.world.nodes["shop"].storage.fired) == times
    assert struck.breaches == []


def test_the_disk_of_a_party_fails_and_it_starts_again() -> None:
    struck = strike("disk-error", "provider", moment="after", only="COMMIT")
    assert struck.running.world.nodes["provider"].ended == ["exited: StoreBroken"]
    assert struck.breaches == []
