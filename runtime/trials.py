"""What became of a message so far, how often it was tried, and when it is tried next."""

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from runtime.database import Database
from runtime.duplicates import discarded
from runtime.inbox import State
from runtime.outcomes import RetryPolicy

_BEGUN = ("claimed", "done")
"""The states in which the row has yet to count the latest attempt, or never will."""


class Trial(msgspec.Struct, frozen=True):
    """``failed`` attempts were made; the next begins at ``next_at_ms`` (Unix time), None: now."""

    failed: int
    next_at_ms: int | None


class Known(msgspec.Struct, frozen=True):
    """What a service knows of a message: its ``state``, the attempts begun, copies discarded.

    A message that was given back by an operator is counted anew.
    """

    state: State
    attempts: int
    duplicates: int


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

    async def known(self, message_ids: Sequence[str]) -> dict[str, Known]:
        """Return what is known of those of these messages that the inbox has."""
        return await self._database.read(partial(_known, message_ids))


def _known(message_ids: Sequence[str], connection: sqlite3.Connection) -> dict[str, Known]:
    copies = discarded(connection, message_ids)
    found: dict[str, Known] = {}
    for message_id in message_ids:
        row = connection.execute(
            "SELECT state, attempt FROM inbox WHERE message_id = ?", (message_id,)
        ).fetchone()
        if row is not None:
            state, before = row
            attempts = before + (state in _BEGUN)
            found[message_id] = Known(state, attempts, copies.get(message_id, 0))
    return found


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
