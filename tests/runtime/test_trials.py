"""How often a message was tried is told as its inbox row has it."""

import sqlite3
from pathlib import Path

import pytest

from runtime import duplicates, inbox
from runtime.database import open_database
from runtime.host import production_host
from runtime.outcomes import RetryPolicy
from runtime.transaction import Transaction
from runtime.trials import Known, Trial, Trials

Row = tuple[str, str, int]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], None),
        ([("m", "done", 3)], None),
        ([("m", "parked", 3)], None),
        ([("m", "claimed", 0)], Trial(0, None)),
        ([("m", "requeued", 1)], Trial(1, 7_000)),
        ([("m", "requeued", 3)], Trial(3, 12_000)),
        ([("m", "claimed", 2)], Trial(2, None)),
        ([("m", "requeued", 1), ("n", "requeued", 2)], Trial(2, 12_000)),
        ([("m", "done", 4), ("n", "requeued", 1)], Trial(1, 7_000)),
        ([("other", "requeued", 2)], None),
    ],
)
async def test_the_most_tried_message_that_is_left_counts(
    tmp_path: Path, rows: list[Row], told: Trial | None
) -> None:
    def keep(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO inbox (message_id, state, incarnation, attempt, updated_at_ms)"
            " VALUES (?, ?, '', ?, 2000)",
            rows,
        )

    disk = production_host(tmp_path).disk
    async with open_database(disk, "some.db", (inbox.SCHEMA,)) as database:
        await database.write(lambda tx: keep(tx.connection))
        trials = Trials(database, RetryPolicy(tiers_s=(5, 10)))
        assert await trials.of(["m", "n"]) == told


@pytest.mark.parametrize(
    ("state", "attempt", "attempts"),
    [
        ("claimed", 0, 1),
        ("claimed", 2, 3),
        ("held", 0, 0),
        ("requeued", 2, 2),
        ("parked", 4, 4),
        ("done", 0, 1),
        ("done", 3, 4),
    ],
)
async def test_what_is_known_counts_the_attempt_that_is_under_way(
    tmp_path: Path, state: str, attempt: int, attempts: int
) -> None:
    def keep(tx: Transaction) -> None:
        tx.connection.execute(
            "INSERT INTO inbox (message_id, state, incarnation, attempt, updated_at_ms)"
            " VALUES ('m', ?, '', ?, 2000)",
            (state, attempt),
        )
        for name in ("m", "m", "gone"):
            duplicates.note_duplicate(tx, name, 3000)

    disk = production_host(tmp_path).disk
    schemas = (inbox.SCHEMA, duplicates.SCHEMA)
    async with open_database(disk, "some.db", schemas) as database:
        await database.write(keep)
        trials = Trials(database, RetryPolicy(tiers_s=(5, 10)))
        assert await trials.known(["m", "gone", "other"]) == {"m": Known(state, attempts, 2)}  # type: ignore[arg-type]
