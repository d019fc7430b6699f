"""What every process commits, when, by its SQL: a journal of journals that no process can edit.

A statement that changes a table of interest is read once, as a form (which column takes which
parameter), and from then on each execution is a row of that form. Rows become commits when the
transaction does; what a savepoint takes back, or a power cut, never happened.

A commit that the power cut itself may have undone is not *certain*: nobody was told of it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from sim.judges.observed import Commit
from sim.watch.clock import Clock

TABLES = frozenset(
    ("events", "outbox", "inbox", "operations", "parcels", "mails", "holds", "calls")
)
_INSERT = re.compile(
    r"INSERT (?:OR \w+ )?INTO (?P<table>\w+)\s*"
    r"\((?P<columns>[^)]*)\)\s*VALUES\s*\((?P<values>[^)]*)\)"
)
_UPDATE = re.compile(r"UPDATE (?P<table>\w+) SET (?P<sets>.*?)(?: WHERE (?P<where>.*))?$")
_DELETE = re.compile(r"DELETE FROM (?P<table>\w+)(?: WHERE (?P<where>.*))?$")
_CONDITIONS = re.compile(r" AND | ORDER BY ")


class Form(msgspec.Struct, frozen=True):
    """A statement's form: per column the index of its parameter, or the literal that it is set to.

    >>> form_of("UPDATE inbox SET state = 'done', at = ? WHERE id = ? AND state IN ('claimed')")
    Form(verb='update', table='inbox', values={'state': 'done', 'at': 0}, where={'id': 1})
    """

    verb: str
    table: str
    values: dict[str, int | str]
    where: dict[str, int | str]

    def filled(self, parameters: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the values and conditions of one execution."""
        return _filled(self.values, parameters), _filled(self.where, parameters)


def form_of(sql: str) -> Form | None:
    """Read a statement that changes one of `TABLES`; None for every other."""
    text = " ".join(sql.split())
    for verb, pattern in (("insert", _INSERT), ("update", _UPDATE), ("delete", _DELETE)):
        found = pattern.match(text)
        if found is not None and found["table"] in TABLES:
            parts = found.groupdict()
            if verb == "insert":
                columns = [column.strip() for column in parts["columns"].split(",")]
                given = zip(columns, parts["values"].split(","), strict=True)
                sets, used = _assigned(given, 0)
            else:
                pairs = (piece.partition("=") for piece in (parts.get("sets") or "").split(","))
                sets, used = _assigned(((name, value) for name, _, value in pairs if name), 0)
            tests, _ = _assigned(_conditions(parts.get("where") or ""), used)
            return Form(verb, found["table"], sets, tests)
    return None


def _conditions(where: str) -> Iterator[tuple[str, str]]:
    """Yield each column that is compared, and with what; one that is to be less is ``name <``."""
    for piece in _CONDITIONS.split(where):
        column, operator, value = piece.partition("=")
        if not operator:
            column, operator, value = piece.partition("<")
        words = column.split()
        if words and value:
            yield words[-1] + (" <" if operator == "<" else ""), value


def _assigned(pairs: Iterable[tuple[str, str]], used: int) -> tuple[dict[str, int | str], int]:
    """Return what each column gets, and how many parameters are used up by then."""
    found: dict[str, int | str] = {}
    for name, raw in pairs:
        value = raw.strip()
        if value == "?":
            found[name.strip()] = used
        elif value:
            found[name.strip()] = value.strip("'")
        used += raw.count("?")
    return found, used


def _filled(form: dict[str, int | str], parameters: Sequence[Any]) -> dict[str, Any]:
    return {name: parameters[part] if type(part) is int else part for name, part in form.items()}


class CommitWatch:
    """Makes a watch for each connection; tells ``tell`` of each row that is committed."""

    def __init__(self, clock: Clock, tell: Callable[[Commit], None]) -> None:
        self.clock = clock
        self.tell = tell

    def watch(self, node: str, incarnation: int, database: str) -> "Writer":
        """Return the watch of a new connection."""
        return Writer(self, node, incarnation, database)


class Writer:
    """One connection: whose it is, and what its transaction has changed until now."""

    def __init__(self, commits: CommitWatch, node: str, incarnation: int, database: str) -> None:
        self._commits = commits
        self._whose = node, incarnation, database
        self._rows: list[tuple[Form, Sequence[Any], int, int]] = []
        self._kept = 0

    def wants(self, sql: str) -> bool:
        """Whether it changes a table of interest, or what becomes of such a change."""
        form = _read(sql)
        return form.__class__ is Form or (form is not None and bool(self._rows))

    def ran(
        self,
        sql: str,
        rows: Sequence[Any],
        changed: int,
        row_id: int,
        *,
        open_: bool,
        certain: bool,
    ) -> None:
        """A statement was applied; see `sim.bystander.Watch`."""
        form = _read(sql)
        if isinstance(form, Form):
            if changed:
                # Rows that were inserted together follow one another; each execution changed one.
                first, each = row_id - len(rows) + 1, max(1, changed // len(rows))
                self._rows += [(form, row, each, first + at) for at, row in enumerate(rows)]
                if not open_:
                    self._commit(certain=certain)
        elif form == "SAVEPOINT":
            self._kept = len(self._rows)
        elif form == "ROLLBACK TO":
            del self._rows[self._kept :]
        elif form == "COMMIT":
            self._commit(certain=certain)
        elif form is not None:  # ROLLBACK; or BEGIN, after SQLite has rolled back by itself
            self._rows.clear()
            self._kept = 0

    def _commit(self, *, certain: bool) -> None:
        rows, self._rows, self._kept = self._rows, [], 0
        at, step = self._commits.clock()
        node, incarnation, database = self._whose
        for form, parameters, changed, row_id in rows:
            values, where = form.filled(parameters)
            self._commits.tell(
                Commit(
                    at=at,
                    step=step,
                    node=node,
                    incarnation=incarnation,
                    database=database,
                    table=form.table,
                    verb=form.verb,
                    values=values,
                    where=where,
                    rows=changed,
                    row_id=row_id,
                    certain=certain,
                )
            )


@lru_cache(maxsize=1024)
def _read(sql: str) -> Form | str | None:
    """Return a statement's form; the word of one that begins or ends something."""
    return _control_word(sql) or form_of(sql)


def _control_word(sql: str) -> str | None:
    words = ("COMMIT", "SAVEPOINT", "ROLLBACK TO", "ROLLBACK", "BEGIN")
    return next((word for word in words if sql.startswith(word)), None)
