"""What a case is: work with a name, and the contenders that do it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Literal

import msgspec

from bench.load import Load
from bench.sample import Sample

CASES = (
    "mailbox",
    "ask",
    "append",
    "publish",
    "consume",
    "http",
    "watched",
    "e2e",
    "budget",
    "profile",
    "backlog",
    "recover",
    "growth",
    "sim",
)
"""Every case, in reading order; each is ``bench.cases.<name>.CASE``."""

Role = Literal["ours", "rival", "limit"]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What a contender is given for one round.

    ``folder`` is empty and its own, on the disk that is measured; ``kept`` is for what the rounds
    of the case share. ``load`` is None where the contender chooses. ``broker_url`` names a virtual
    host that nobody has used, empty where the case needs none.
    """

    case: str
    contender: str
    operations: int
    folder: Path
    kept: Path
    load: Load | None = None
    broker_url: str = ""
    broker_pid: int = 0


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One who does the work. ``guarantees`` is what is left after a crash, in a few words.

    ``share`` is the part of the case's operations that it gets: slow ones get less, so that all
    take turns of some seconds. A ``long`` one takes part in long runs only.
    """

    name: str
    role: Role
    how: str
    guarantees: str
    run: Callable[[Round], Sample]
    share: float = 1.0
    long: bool = False


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work. ``operation`` is what is counted; ``operations`` how many a round,
    ``operations_long`` how many in a long run, if that differs.

    A case is ``micro`` if its rounds are all in one process and need no broker: those run as tests
    too.
    """

    name: str
    title: str
    operation: str
    operations: int
    operations_long: int = 0
    contenders: tuple[Contender, ...]
    micro: bool = False
    broker: bool = False

    def contender(self, name: str) -> Contender:
        """Return the contender of this name; KeyError where there is none."""
        for contender in self.contenders:
            if contender.name == name:
                return contender
        raise KeyError(f"{self.name} has no contender {name!r}")


def load_case(name: str) -> Case:
    """Import a case by its name."""
    assert name in CASES, name
    case = import_module(f"bench.cases.{name}").CASE
    assert isinstance(case, Case), name
    return case
