"""Parked messages from the command line: a poisoned order is listed, given back, thrown away."""

from pathlib import Path
from typing import Any

from tests.harness.operating import Operator
from tests.harness.waiting import eventually


def _parked(operator: Operator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = operator.json("dlq", "list")["data"]
    return found


async def test_a_poisoned_message_is_shown_given_back_and_thrown_away(tmp_path: Path) -> None:
    operator = Operator(tmp_path)

    async def parked() -> list[dict[str, Any]]:
        return _parked(operator)

    async def came_back() -> bool:
        return any(letter["returned"] for letter in _parked(operator))

    with operator.up():
        assert operator.ok("dlq", "list") == ""
        order_id = operator.place("--card", "pm_card_poison")
        (letter,) = await eventually(parked)
        event_id = letter["id"]
        assert (letter["queue"], letter["type"]) == ("payment", "order-created/v1")
        assert not letter["returned"]
        shown = operator.ok("dlq", "show", event_id)
        assert order_id in shown
        assert operator.run("dlq", "show", "evt_none").returncode == 1

        dry = operator.run("dlq", "replay", "--all", "--queue", "payment", "--dry-run")
        assert (dry.returncode, event_id in dry.stderr) == (0, True)
        unasked = operator.run("dlq", "replay", event_id)
        assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
        assert operator.run("dlq", "replay").returncode == 2
        assert operator.run("dlq", "replay", "evt_none", "--yes").returncode == 1
        assert _parked(operator) == [letter], "nothing has happened so far"

        operator.ok("dlq", "replay", event_id, "--reason", "try again", "--yes")
        await eventually(came_back)
        assert operator.run("dlq", "discard", event_id, "--yes").returncode == 2
        operator.ok("dlq", "discard", event_id, "--reason", "a test card", "--yes")
        assert _parked(operator) == []
        assert operator.run("dlq", "list", "--queue", "nowhere").returncode == 2
