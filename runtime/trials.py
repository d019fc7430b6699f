"""How often a message was tried, and when it is tried next: what a service may tell who waits."""

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from runtime.database import Database
from runtime.outcomes import RetryPolicy


class Trial(msgspec.Struct, frozen=True):
    """``failed`` attempts were made; the next begins at ``next_at_ms`` (Unix time), None: now."""

    failed: int
    next_at_ms: int | None


class Trials:
    """Looks into the inbox of a service; ``retry`` is by what it waits."""

    def __init__(self, database: Database, retry: RetryPolicy) -> None:
        self._database = database
        self._retry = retry

    async def of(self, message_ids: Sequence[str]) -> Trial | None:
        """Return how far the most tried of these messages is that are not done with; None: none."""
        rows = await self._database.read(partial(_unfinished, message_ids))
        if not rows:
            return None
        failed, state, since_ms = max(rows)
        waits = state == "requeued" and failed
        due_ms = since_ms + self._retry.tier_s(failed) * 1000 if waits else None
        return Trial(failed, due_ms)


def _unfinished(
    message_ids: Sequence[str], connection: sqlite3.Connection
) -> list[tuple[int, str, int]]:
    found = [
        connection.execute(
            "SELECT attempt, state, updated_at_ms FROM inbox"
            " WHERE message_id = ? AND state IN ('claimed', 'requeued')",
            (message_id,),
        ).fetchone()
        for message_id in message_ids
    ]
    return [row for row in found if row is not None]
