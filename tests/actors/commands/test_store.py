"""Databases looked at and copied, beside a running system and without one; the audit tells it."""

from pathlib import Path

from tests.harness.operating import Operator


def test_a_store_is_copied_while_the_system_runs_and_after(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    assert operator.run("store", "info").returncode == 3
    with operator.up():
        operator.place("--wait", "prepared")
        files = {one["file"]: one for one in operator.json("store", "info")["data"]}
        assert files["orders.db"]["rows"]["events"] == 5
        assert "5 events verified" in operator.ok("store", "backup", "one", "--reason", "daily")
        again = operator.run("store", "backup", "one")
        assert (again.returncode, "exists already" in again.stderr) == (2, True)
        rows = operator.json("audit", "list")["data"]
        assert [(row["action"], row["target"], row["reason"]) for row in rows] == [
            *[("store-backup", "one", "daily")] * 2,
            *[("store-backup", "one", "")] * 2,
        ]
        assert [row["outcome"].split()[0] for row in rows] == [
            *("started", "copied", "started", "failed:"),
        ]
    assert "5 events verified" in operator.ok("store", "backup", "two")
    for folder in ("one", "two"):
        names = {path.name for path in (tmp_path / folder).iterdir()}
        assert names >= {"orders.db", "payment.db", "broker.db"}
        copy = str(tmp_path / folder / "orders.db")
        assert operator.json("events", "verify", "--file", copy)["events"] == 5
    files = {one["file"]: one for one in operator.json("store", "info")["data"]}
    assert files["orders.db"]["rows"]["audit"] == 6
    assert operator.ok("events", "verify").startswith("ok")
