"""A database at rest that is brought to the schema of this program, while nobody serves.

Opening does the same (`runtime.database.open_database`); this is for whoever wants to know before,
and to have a copy of what was. The caller holds the file's lock.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from runtime.backup import look_at
from runtime.errors import ConfigurationError
from runtime.sqlite import set_up_writer, truncate_log, unopened


class Step(msgspec.Struct, frozen=True):
    """A file, the version of its schema, and the one that this program writes."""

    path: Path
    found: int
    wanted: int

    @property
    def due(self) -> bool:
        """Whether there is something to do."""
        return self.found < self.wanted


def step(path: Path, migrations: Sequence[str]) -> Step:
    """Return what there is to do; `ConfigurationError` where a newer program has written it.

    `ConfigurationError` or `EnvironmentUnready` where the file is damaged or cannot be read, too.
    """
    try:
        found = look_at(path).schema_version
    except sqlite3.Error as error:
        failure = unopened(path, error)
        raise failure or error from error
    if found > len(migrations):
        raise ConfigurationError(
            f"{path} has schema version {found}, but this program knows only {len(migrations)}",
            hint="use the newer program that wrote it, or restore an older backup",
        )
    return Step(path, found, len(migrations))


def migrate(path: Path, migrations: Sequence[str]) -> None:
    """Run what is missing, each script in a transaction of its own; a damaged file is refused.

    A kill leaves the file between two versions, at one of them: doing it again goes on from there.
    `ConfigurationError` where a script cannot be carried out.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            set_up_writer(path, migrations, connection)
            truncate_log(connection)
    except sqlite3.Error as error:
        failure = unopened(path, error)
        if failure is None:
            at = look_at(path).schema_version
            failure = ConfigurationError(
                f"{path} cannot be brought from schema version {at} to {at + 1}: {error}",
                hint="nothing of that step was kept; what was before is in the copies",
            )
        raise failure from error
