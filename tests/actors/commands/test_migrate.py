"""``store migrate``: older databases are brought up to date, newer ones refused, all copied."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from actors.commands.migrating import SCHEMAS
from actors.order_events.schema import MIGRATIONS
from tests.harness.operating import Operator


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def execute(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def age(path: Path) -> None:
    """Make an order store what the first version has written: without what came later."""
    later = "DROP TABLE audit; DROP TABLE erasures; DROP INDEX events_by_type;"
    later = f"{later} ALTER TABLE events DROP COLUMN tracestate;"
    execute(path, f"{later} PRAGMA user_version = 1;")


def held(folder: Path) -> dict[str, bytes]:
    """Return folders and databases; what SQLite and locks leave beside them does not count."""
    return {
        path.name: path.read_bytes() if path.suffix == ".db" else b""
        for path in folder.iterdir()
        if path.suffix == ".db" or path.is_dir()
    }


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """A stopped system with one order, its order store aged."""
    operator = Operator(tmp_path)
    with operator.up() as command:
        operator.place("--wait", "prepared")
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    age(tmp_path / "data" / "orders.db")
    return operator


def test_every_database_of_a_system_is_known(operator: Operator, tmp_path: Path) -> None:
    files = {path.name for path in (tmp_path / "data").glob("*.db")}
    assert files == set(SCHEMAS)


def test_an_older_store_is_copied_brought_up_to_date_and_verified(
    operator: Operator, tmp_path: Path
) -> None:
    data, was = tmp_path / "data", tmp_path / "was"
    assert operator.run("events", "verify").returncode == 2
    before = held(data)
    tried = operator.ok("store", "migrate", "--dry-run")
    assert f"orders.db              schema 1 -> {len(MIGRATIONS)}" in tried
    assert "nothing was changed" in tried
    assert version(data / "orders.db") == 1
    assert held(data) == before
    done = operator.ok("store", "migrate", "--backup", str(was), "--reason", "to 0.2")
    assert "5 events verified" in done
    assert version(data / "orders.db") == len(MIGRATIONS)
    assert version(was / "orders.db") == 1
    assert {path.name for path in was.iterdir()} == set(SCHEMAS)
    assert operator.ok("events", "verify").startswith("ok")
    assert f"schema {len(MIGRATIONS)}" in operator.ok("store", "migrate")
    assert set(held(data)) == set(before), "nothing is left of a run that had nothing to do"
    with operator.up():
        (row,) = operator.json("audit", "list")["data"]
        assert (row["action"], row["reason"]) == ("store-migrate", "to 0.2")
        assert row["outcome"] == f"orders.db 1 to {len(MIGRATIONS)}"
        operator.place("--wait", "prepared")


def test_it_leaves_a_running_a_newer_and_a_damaged_store_alone(
    operator: Operator, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    execute(data / "payment.db", "PRAGMA user_version = 99;")
    newer = operator.run("store", "migrate")
    assert newer.returncode == 2
    assert "payment.db has schema version 99" in newer.stderr
    assert version(data / "orders.db") == 1
    assert not list(data.glob("before-migration-*"))
    execute(data / "payment.db", f"PRAGMA user_version = {len(SCHEMAS['payment.db'])};")
    broken = (data / "shipping.db").read_bytes()
    (data / "shipping.db").write_bytes(b"\0" * 4096 + broken[4096:])
    damaged = operator.run("store", "migrate")
    assert damaged.returncode == 3
    assert "shipping.db" in damaged.stderr
    assert version(data / "orders.db") == 1
    (data / "shipping.db").write_bytes(broken)
    with operator.up():
        running = operator.run("store", "migrate")
        assert running.returncode == 3
        assert "another process is using this data" in running.stderr


def test_what_cannot_be_migrated_is_found_by_the_dry_run(
    operator: Operator, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "orders.db"
    execute(path, "CREATE TABLE erasures (mine TEXT);")
    assert operator.run("store", "migrate", "--dry-run").returncode == 2
    assert version(path) == 1
    refused = operator.run("store", "migrate")
    assert refused.returncode == 2
    assert "from schema version 2 to 3: table erasures already exists" in refused.stderr
    assert version(path) == 2, "each script is a step of its own"
    (copies,) = (tmp_path / "data").glob("before-migration-*")
    assert version(copies / "orders.db") == 1
    execute(path, "DROP TABLE erasures;")
    assert f"schema 2 -> {len(MIGRATIONS)}" in operator.ok(
        "store", "migrate", "--backup", str(tmp_path / "two")
    )
