"""Deaths at a point of the work: before it and after it, in a transaction, at a publish, an ack."""

from typing import Any

import pytest

from tests.sim.faults.small import strike

POINTS: list[tuple[str, dict[str, Any]]] = [
    ("in a transaction", {"at": "statement", "only": "INSERT", "after": 2}),
    ("in a transaction", {"at": "statement", "only": "COMMIT", "after": 3}),
    ("publish", {"at": "publish", "only": "payment."}),
    ("ack", {"at": "ack", "only": "payment"}),
    ("call", {"at": "call", "party": "provider", "only": "capture"}),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", ["kill-at", "power-cut"])
@pytest.mark.parametrize(("variety", "facts"), POINTS)
def test_a_process_dies_at_the_point(
    kind: str, moment: str, variety: str, facts: dict[str, Any]
) -> None:
    struck = strike(kind, "shop", for_s=7.0, moment=moment, **facts)
    if facts.get("only") == "COMMIT" and moment == "after":
        variety = "between transactions"
    assert struck.effects == {kind: 1, f"{kind}/{variety}": 1}
    ended = struck.running.world.nodes["shop"].ended
    assert ended[0] == ("killed" if kind == "kill-at" else "power cut")
    assert struck.breaches == []


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_power_cut_spoils_the_end_of_the_log_and_nothing_before_it(damage: str) -> None:
    facts = {"at": "statement", "only": "COMMIT", "after": 4, "damage": damage}
    struck = strike("power-cut", "shop", moment="after", **facts)
    fired = struck.running.world.nodes["shop"].storage.fired
    assert fired == ["power cut after COMMIT", f"log tail {damage}"]
    assert struck.breaches == []


@pytest.mark.parametrize("after", [0, 11])
def test_a_process_dies_while_it_recovers(after: int) -> None:
    struck = strike("recovery-kill", "shop", at_s=1.5, after=after)
    assert struck.effects == {"recovery-kill": 1}
    assert struck.running.world.nodes["shop"].ended[:2] == ["killed", "killed"]
    assert struck.breaches == []
