"""What clients asked and were told, in the order in which it happened.

An intent is in the history before its request leaves, an answer once it has come back. An intent
without an answer is *unknown*: the command may have been carried out once, or not at all. (Jepsen
calls such operations ":info"; they stay open for ever.)
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["place", "pay", "move", "cancel", "ship"]


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """A request is about to leave; ``attempt`` counts from 1, ``mark`` is unique to the command.

    ``reuses``: it asks for something else under the key of another command.
    """

    command: str
    attempt: int
    kind: Kind
    order_id: str
    mark: str
    keyed: bool
    body: Mapping[str, Any]
    at: float = 0.0
    reuses: bool = False


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """What came back: a status and a body; status 0 is none at all (cut off, timed out)."""

    command: str
    attempt: int
    status: int
    body: Any = None
    at: float = 0.0


class Command(msgspec.Struct, frozen=True):
    """One command with all its attempts: what was asked, and every answer that came back.

    ``sent_at`` is when it was sent for the first time. ``reuses``: see `Sent`.
    """

    name: str
    kind: Kind
    order_id: str
    mark: str
    keyed: bool
    body: Mapping[str, Any]
    attempts: int
    answers: tuple[Answered, ...]
    sent_at: float = 0.0
    reuses: bool = False

    @property
    def definite(self) -> tuple[Answered, ...]:
        """Answers that say what became of the command: neither cut off nor "try again later"."""
        return tuple(answer for answer in self.answers if 200 <= answer.status < 500)

    @property
    def open(self) -> bool:
        """Whether the latest answer was not a definite one, or none came: the sender goes on."""
        return not self.answers or self.answers[-1] not in self.definite

    @property
    def accepted(self) -> Answered | None:
        """The first answer that says yes."""
        return next((answer for answer in self.definite if answer.status < 300), None)

    @property
    def refused(self) -> Answered | None:
        """The first answer that says no, where none says yes."""
        return None if self.accepted or not self.definite else self.definite[0]


class Told(msgspec.Struct, frozen=True):
    """Something that a watcher noted of an order's stream.

    ``what``: *opened* (with a ``status``, after a ``version``), *event*, *complete*, *bye*, *left*
    (whoever ended it), or *no answer*.
    """

    at: float
    what: str
    version: int = 0
    event_id: str = ""
    type: str = ""
    data: Any = None
    status: int = 0


class Watching(msgspec.Struct):
    """Somebody who has watched an order, over all his visits."""

    name: str
    order_id: str
    told: list[Told] = []

    @property
    def version(self) -> int:
        """The version that he has seen last."""
        events = (one.version for one in reversed(self.told) if one.what == "event")
        return next(events, 0)

    @property
    def complete(self) -> bool:
        """Whether he was told that nothing more will come."""
        return any(one.what == "complete" for one in self.told)


def commands(entries: Iterable[Sent | Answered]) -> list[Command]:
    """Return the commands of a history, in the order they were first sent."""
    sent: dict[str, list[Sent]] = {}
    answered: dict[str, list[Answered]] = {}
    for entry in entries:
        if isinstance(entry, Sent):
            sent.setdefault(entry.command, []).append(entry)
        else:
            answered.setdefault(entry.command, []).append(entry)
    return [
        Command(
            name=name,
            kind=tries[0].kind,
            order_id=tries[0].order_id,
            mark=tries[0].mark,
            keyed=tries[0].keyed,
            body=tries[0].body,
            attempts=len(tries),
            answers=tuple(answered.get(name, ())),
            sent_at=tries[0].at,
            reuses=tries[0].reuses,
        )
        for name, tries in sent.items()
    ]
