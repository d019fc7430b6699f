"""The corpus: plans that once failed, as files, with why. They run before every sweep.

A seed draws other faults as soon as the draw changes; a plan stays what it is. So the corpus keeps
plans.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from runtime.errors import ConfigurationError
from sim.outcome import Task
from sim.plan import Plan

FOLDER = Path("tests/seeds")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One plan: ``why`` is what it showed, ``found`` when, ``fixed_in`` the commit of the cure."""

    why: str
    violation: str
    found: str
    fixed_in: str = ""
    plan: Plan


def read_corpus(folder: Path) -> dict[str, Entry]:
    """Return the entries by name, in the order of their names."""
    if not folder.is_dir():
        return {}
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}


def _read(path: Path) -> Entry:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Entry)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(
            f"{path}: {error}", hint="sim corpus add writes such files"
        ) from error


def add(folder: Path, name: str, entry: Entry) -> Path:
    """Write an entry; return its file. `ConfigurationError` if there is one of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    if path.exists():
        raise ConfigurationError(f"{path} is there already", hint="choose another --name")
    data = msgspec.json.format(msgspec.json.encode(entry, order="deterministic"), indent=2)
    path.write_bytes(data + b"\n")
    return path


def tasks(entries: dict[str, Entry]) -> Iterator[Task]:
    """Yield what a sweep runs first."""
    for name, entry in entries.items():
        plan = entry.plan
        yield Task(plan.scenario, plan.seed, plan=plan, corpus=name)


def today() -> str:
    """Return the date for ``found``."""
    return time.strftime("%Y-%m-%d", time.gmtime())
