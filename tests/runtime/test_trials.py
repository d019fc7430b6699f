"""How often a message was tried is told as its inbox row has it."""

import sqlite3
from pathlib import Path

import pytest

from runtime import inbox
from runtime.database import open_database
from runtime.host import production_host
from runtime.outcomes import RetryPolicy
from runtime.trials import Trial, Trials

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
