"""An erased order: no byte of the person is left in any file, and the log is still in order."""

import json
import signal
import sqlite3
from pathlib import Path

from tests.harness.operating import Operator

CANARIES = ("Canary Yellowbird", "canary@example.org", "17 Coalmine Row", "Birdingham")
ADDRESS = {
    "name": CANARIES[0],
    "line1": CANARIES[2],
    "city": CANARIES[3],
    "postal_code": "10115",
    "country": "DE",
}


def _left(folder: Path, canaries: tuple[str, ...]) -> list[tuple[str, str]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        (path.name, canary)
        for path in files
        for canary in canaries
        if canary.encode() in path.read_bytes()
    ]


def _place(operator: Operator) -> str:
    (operator.folder / "address.json").write_text(json.dumps(ADDRESS))
    person = ("--name", CANARIES[0], "--email", CANARIES[1], "--address", "address.json")
    return operator.place(*person, "--idempotency-key", "k1", "--wait", "prepared")


def test_nothing_of_the_person_is_left_in_any_file(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    data = tmp_path / "data"
    with operator.up() as serving:
        order_id = _place(operator)
        early = operator.run("order", "erase", order_id, "--yes")
        assert (early.returncode, "not-settled" in early.stderr) == (1, True)
        operator.ok("order", "ship", order_id, "--carrier", "DHL", "--tracking", "JD1")
        assert _left(data, CANARIES), "before, it is everywhere"
        assert operator.run("order", "erase", order_id).returncode == 2
        steps = operator.ok("order", "erase", order_id, "--yes", "--reason", "asked to")
        assert steps.split()[1::2] == ["mailer", "carrier", "store"]
        assert _left(data, CANARIES) == []
        # The provider's own books know the token that it gave out itself.
        tokens = [name for name, _ in _left(data, ("pm_card_visa",))]
        assert [name for name in tokens if not name.startswith("sandbox-provider.db")] == []
        assert operator.run("order", "erase", "ord_none", "--yes").returncode == 1
        assert operator.ok("events", "verify").startswith("ok")
        operator.ok("order", "erase", order_id, "--yes")
        serving.signal(signal.SIGTERM)
        assert serving.ended() == 0
        assert [canary for canary in CANARIES if canary in serving.output] == []
    assert operator.ok("events", "verify").startswith("ok")
    assert _left(data, CANARIES) == []


def test_an_erasure_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    with operator.up():
        order_id = _place(operator)
        operator.ok("order", "ship", order_id, "--carrier", "DHL", "--tracking", "JD1")
    # As a kill after the first step leaves it.
    connection = sqlite3.connect(tmp_path / "data" / "orders.db")
    connection.executemany(
        "INSERT INTO erasures VALUES (?, ?, 1, ?)",
        [(order_id, "mailer", 2), (order_id, "carrier", None), (order_id, "store", None)],
    )
    connection.commit()
    connection.close()
    with operator.up():
        assert operator.ok("order", "erase", order_id, "--yes").split()[1::2] == [
            "carrier",
            "store",
        ]
        left = {name for name, _ in _left(tmp_path / "data", CANARIES)}
        assert {name for name in left if name.endswith((".db", ".db-wal"))} == set()
