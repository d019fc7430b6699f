"""The outbox from the command line, and messages that a broker lost after confirming them."""

import sqlite3
from pathlib import Path

from tests.harness.operating import Operator
from tests.harness.waiting import eventually


def _forget(database: Path) -> None:
    """Make a service forget that it ever got anything, as if the broker had lost it all."""
    connection = sqlite3.connect(database)
    connection.execute("DELETE FROM inbox")
    connection.execute("DELETE FROM mails")
    connection.commit()
    connection.close()


async def test_what_no_service_has_is_offered_again(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    mails = tmp_path / "data" / "mail" / "new"
    with operator.up():
        operator.place("--wait", "prepared")
        status = operator.json("outbox", "status", "--max-age", "60s")
        assert (status["schema"], status["pending"]) == ("ordermill.outbox/v1", 0)
        operator.ok("outbox", "flush", "--reason", "impatient")
        assert operator.run("outbox", "status", "--max-age", "soon").returncode == 2

        async def nothing_missing() -> bool:
            look = operator.json("outbox", "reoffer", "--older-than", "0s")
            return look["offers"] == []

        await eventually(nothing_missing)
    _forget(tmp_path / "data" / "notification.db")
    for mail in mails.iterdir():
        mail.unlink()
    with operator.up():
        dry = operator.json("outbox", "reoffer", "--older-than", "0s")
        assert [offer["queue"] for offer in dry["offers"]] == ["notification"]
        assert "0 messages" in operator.ok("outbox", "reoffer"), "young events are left alone"
        assert list(mails.iterdir()) == []
        operator.ok("outbox", "reoffer", "--older-than", "0s", "--yes", "--reason", "lost")

        async def mailed() -> bool:
            return len(list(mails.iterdir())) == 1

        await eventually(mailed)
        await eventually(nothing_missing)
    connection = sqlite3.connect(tmp_path / "data" / "orders.db")
    deeds = connection.execute("SELECT action, reason, outcome FROM audit").fetchall()
    connection.close()
    assert [deed[:2] for deed in deeds[::2]] == [
        ("outbox-flush", "impatient"),
        ("outbox-reoffer", "lost"),
    ]
    assert deeds[-1][2].startswith("offered 1: evt_")
