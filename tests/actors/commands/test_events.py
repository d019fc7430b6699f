"""The log from the command line: listed, filtered, followed, shown, exported and verified."""

import json
import sqlite3
from pathlib import Path

from tests.harness.operating import Operator


def test_the_log_is_read_and_verified_while_the_system_runs_and_after(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    with operator.up():
        first = operator.place("--wait", "prepared")
        second = operator.place("--wait", "prepared")
        listed = operator.ok("events", "list", "--format", "jsonl").splitlines()
        events = [json.loads(line) for line in listed]
        assert [event["position"] for event in events] == list(range(1, 11))
        assert {event["schema"] for event in events} == {"ordermill.event/v1"}
        only = operator.ok("events", "list", "--order", second, "--type", "payment-captured")
        assert second in only
        assert first not in only
        assert len(only.splitlines()) == 1
        few = operator.run("events", "list", "--after", "2", "--limit", "3")
        assert [line.split()[0] for line in few.stdout.splitlines()] == ["3", "4", "5"]
        assert "first 3" in few.stderr
        everything = operator.ok("events", "list").splitlines()
        assert max(map(len, everything)) <= 100
        assert "shipping-preparation-in-progress" in everything[3]
        shown = operator.json("events", "show", events[0]["id"])
        assert (shown["schema"], shown["order_id"]) == ("ordermill.event/v1", first)
        assert operator.json("events", "show", "1") == shown, "by its position, too"
        for nothing in ("evt_none", "99", "0"):
            missing = operator.run("events", "show", nothing)
            assert (missing.returncode, "not-found" in missing.stderr) == (1, True)
        operator.ok("events", "export", "--type", "shipped", "--out", "none.jsonl")
        assert (tmp_path / "none.jsonl").read_text() == ""
        operator.ok("events", "export", "--out", "log.jsonl")
        exported = (tmp_path / "log.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in exported] == events
        tail = operator.ok("events", "tail", "--no-follow", "--after", "9")
        assert tail.split()[0] == "10"
        assert operator.ok("events", "verify").startswith("ok    2 orders, 10 events")
    assert operator.json("events", "verify")["events"] == 10
    assert operator.run("events", "list").returncode == 3
    stranger = operator.run("--token", "x" * 40, "events", "list")
    assert stranger.returncode == 3


def test_verify_names_the_first_fault_and_exits_with_1(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    with operator.up():
        operator.place("--wait", "prepared")
    connection = sqlite3.connect(tmp_path / "data" / "orders.db")
    connection.execute("UPDATE order_list SET status = 'shipped'")
    connection.commit()
    connection.close()
    ended = operator.run("events", "verify")
    assert ended.returncode == 1
    assert ended.stdout.startswith("FAIL  ord_")


def test_without_the_operators_token_nothing_is_told(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    with operator.up():
        refused = operator.run("--token", "x" * 40, "events", "list")
    assert refused.returncode == 1
    assert "401 unauthorized" in refused.stderr
