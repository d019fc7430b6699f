"""What the operator's API is asked and what it answers, beside what the services themselves say."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.domain.correspondence import MailShown
from actors.domain.operating import Figures, SettingShown
from actors.gateway.console.backstage import LinkShown
from actors.gateway.console.troubles import Trouble
from actors.gateway.replies import SummaryReply
from actors.services import ServiceName
from actors.tree_desk import ActorReply, RestartActor
from runtime.amqp.dead_letters import DeadLetter
from runtime.amqp.depths import QueueDepth
from runtime.child import Strategy
from runtime.errands import Progress
from runtime.node import Crash, NodeStatus, State
from runtime.outbox import RelayStatistics

Troubles = Annotated[list[str], Meta(description="Why something is missing here, if it is.")]


class OverviewReply(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong now, worst first, and how much is going on.

    ``parked`` counts messages by queue. ``restarts`` are those since the processes began. What
    cannot be had is null, and the reason is a problem.
    """

    problems: list[Trouble]
    figures: Figures | None
    outbox: RelayStatistics | None
    parked: dict[str, int | None]
    restarts: int
    restarts_last_hour: int | None


class TopologyReply(msgspec.Struct, frozen=True, kw_only=True):
    """Queues and the events bound to them, what is in them, connections, who supervises whom.

    ``alarms`` are resources that the broker is short of, null where it does not tell; ``missing``
    says why some of its figures are null. ``supervision`` has one tree for each process.
    """

    subscriptions: dict[str, list[str]]
    queues: list[QueueDepth]
    alarms: list[str] | None
    missing: list[str]
    links: list[LinkShown]
    supervision: list[NodeStatus]
    troubles: Troubles


class ActorShown(msgspec.Struct, frozen=True, kw_only=True):
    """An actor or a supervisor: its path, and which services its process runs.

    ``crashes`` are the latest ones, newest first. ``strategy`` is a supervisor's. ``looked`` is
    null unless somebody was asked for by path.
    """

    path: str
    services: list[ServiceName]
    kind: Literal["supervisor", "child"]
    strategy: Strategy | None
    state: State
    restarts: int
    last_error: str | None
    crashes: tuple[Crash, ...]
    looked: ActorReply | None


class ActorsReply(msgspec.Struct, frozen=True):
    """Whoever is in the trees, process by process, parents first."""

    data: list[ActorShown]
    troubles: Troubles


class RestartRequest(RestartActor, frozen=True):
    """Who is to start again, and why; ``service`` names the process where several have the path."""

    service: ServiceName | None = None


class FoundReply(msgspec.Struct, frozen=True):
    """Orders, newest first: at most as many as were asked for, of ``total``."""

    data: list[SummaryReply]
    total: int


class ParkedReply(msgspec.Struct, frozen=True):
    """Parked messages, oldest first, without their bodies."""

    data: list[DeadLetter]
    troubles: Troubles


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parked message, by name."""

    queue: ServiceName
    id: Annotated[str, Meta(min_length=1, max_length=255)]


class DealRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which parked messages, and why; a dry run only says which of them are there."""

    letters: Annotated[tuple[Chosen, ...], Meta(min_length=1, max_length=500)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    dry_run: bool = False


class DealtReply(msgspec.Struct, frozen=True, kw_only=True):
    """How many were dealt with, of those that were ``found``; ``gone`` are parked no more."""

    dealt: int
    found: list[DeadLetter]
    gone: int
    troubles: Troubles


class BeginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with which parked messages, and why; nobody waits for the end of it."""

    action: Literal["replay", "discard"]
    letters: Annotated[tuple[Chosen, ...], Meta(min_length=1, max_length=500)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class StopRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which service is to stop; the messages that it has not come to stay parked."""

    queue: ServiceName


class Work(msgspec.Struct, frozen=True):
    """How far a service is with the long work that it was told last."""

    queue: str
    work: Progress


class WorksReply(msgspec.Struct, frozen=True):
    """What services were told last; those that were told nothing are not in it."""

    data: list[Work]
    troubles: Troubles


class DeedReply(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator did. There are two rows for each deed: when it began, how it ended."""

    service: str
    at: str
    actor: str
    action: str
    target: str
    reason: str
    outcome: str


class DeedsReply(msgspec.Struct, frozen=True):
    """What operators did, newest first."""

    data: list[DeedReply]
    troubles: Troubles


class MailboxReply(msgspec.Struct, frozen=True):
    """Mails, newest first. ``text`` is the plain alternative, with the link to the order in it."""

    data: list[MailShown]


class SettingsReply(msgspec.Struct, frozen=True):
    """The settings of the gateway's process."""

    data: list[SettingShown]
