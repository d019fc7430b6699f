"""What the console sees of the services: each one's operator side and status, wherever it runs.

A service that cannot be asked takes nothing else from a page: what was `Asked` has an answer, or
the reason why there is none.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import anyio
import msgspec

from actors.domain.operating import SettingShown
from actors.gateway.console.login_links import LoginLinks
from actors.services import SERVICES, ServiceName
from actors.tree_desk import TreeDesk
from runtime.database import DatabaseStatistics
from runtime.errors import Rejection, Unavailable
from runtime.mailbox import MailboxStatistics
from runtime.node import NodeStatus
from runtime.outbox import RelayStatistics
from runtime.sampling import Samples
from runtime.service import ServiceStatistics

T = TypeVar("T")
KEEPERS: tuple[ServiceName, ...] = tuple(name for name in SERVICES if name != "gateway")
"""The services that have an operator's desk."""


class LinkShown(msgspec.Struct, frozen=True):
    """One connection to the broker: how it is, for how long, and why."""

    role: str
    state: str
    for_s: float
    reason: str


class ProcessStatus(msgspec.Struct, frozen=True):
    """What a service says of itself, and of the process that it runs in."""

    supervision: NodeStatus
    broker: list[LinkShown] = []
    messages: ServiceStatistics | None = None
    mailbox: MailboxStatistics | None = None
    outbox: RelayStatistics | None = None
    database: DatabaseStatistics | None = None
    samples: Samples | None = None


class Desks(Protocol):
    """The operator's desk of each service. `Unavailable` says since when it is away."""

    async def ask(
        self,
        service: ServiceName,
        path: str,
        kind: type[T],
        *,
        params: dict[str, str | int] | None = None,
        wait_s: float = 0.0,
    ) -> T:
        """Read something below the operator's prefix; `Rejection` for what is not there."""
        ...

    async def act(
        self, service: ServiceName, path: str, kind: type[T], body: dict[str, object]
    ) -> T:
        """Post something there; `Rejection` where it is refused."""
        ...

    async def status(self, service: ServiceName) -> ProcessStatus:
        """Return what the service says of itself."""
        ...


@dataclass(frozen=True, slots=True)
class Backstage:
    """What the console has besides the gateway.

    ``here`` are the services of this process, ``process`` what it says of itself, ``tree`` whom it
    supervises, ``settings`` what is in force; ``subscriptions`` are the event types that each queue
    is meant to get. An outbox is late after ``outbox_warn_s``.
    """

    desks: Desks
    links: LoginLinks
    here: tuple[ServiceName, ...]
    process: Callable[[], Mapping[str, object]]
    tree: TreeDesk
    settings: Callable[[], Iterable[SettingShown]]
    subscriptions: Mapping[str, Sequence[str]]
    outbox_warn_s: float

    def own_status(self) -> ProcessStatus:
        """Return what this process says of itself."""
        return msgspec.convert(msgspec.to_builtins(self.process()), ProcessStatus)


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """An answer, or in ``trouble`` why there is none."""

    answer: T | None
    trouble: str = ""


async def asked(question: Awaitable[T]) -> Asked[T]:
    """Return the answer to one question, or why there is none."""
    try:
        return Asked(await question)
    except (Rejection, Unavailable) as error:
        return Asked(None, str(error))


async def asked_all(questions: Mapping[str, Callable[[], Awaitable[T]]]) -> dict[str, Asked[T]]:
    """Ask all at once; return the answers under the same names, in the same order."""
    found: dict[str, Asked[T]] = {}

    async def one(name: str, question: Callable[[], Awaitable[T]]) -> None:
        found[name] = await asked(question())

    async with anyio.create_task_group() as tasks:
        for name, question in questions.items():
            tasks.start_soon(one, name, question)
    return {name: found[name] for name in questions}


def reasons(*answers: Mapping[str, Asked[Any]]) -> list[str]:
    """Return why answers are missing, each reason once."""
    return [*dict.fromkeys(row.trouble for rows in answers for row in rows.values() if row.trouble)]


async def statuses_of(desks: Desks) -> dict[str, Asked[ProcessStatus]]:
    """Ask every service what it says of itself."""
    questions: dict[str, Callable[[], Awaitable[ProcessStatus]]] = {
        name: partial(desks.status, name) for name in KEEPERS
    }
    return await asked_all(questions)


def rates(status: ProcessStatus | None) -> dict[str, float]:
    """Return how often things happened in a process of late, per second; empty if unknown."""
    samples = None if status is None else status.samples
    return {} if samples is None else samples.per_s
