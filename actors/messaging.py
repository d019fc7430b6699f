"""One process's share of the broker: its connections, publishers, and perhaps the broker itself.

Whoever publishes events declares the whole topology before: whoever starts first, no message is
lost for want of a queue. The other links declare the queues of the services that they work for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from actors.credentials import Credentials
from actors.settings import Settings
from actors.topology import SUBSCRIPTIONS, topology
from runtime.amqp.address import Address
from runtime.amqp.figures import AskFigures, BrokerFigures, QueueFigures, no_figures
from runtime.amqp.link import Link
from runtime.amqp.management import Management, age_s
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.session import Session
from runtime.amqp.standing import Condition, LinkState
from runtime.amqp.topology import declare
from runtime.broker.server import BrokerServer
from runtime.child import ChildSpec
from runtime.database import Database
from runtime.host import Clock, Host
from runtime.outcomes import RetryPolicy
from runtime.service import Surroundings
from runtime.telemetry import Telemetry

EMBEDDED = "embedded"
LOOPBACK = "127.0.0.1"
ACCOUNT = "ordermill"
BROKER_FILE = "broker.db"
WORST_FIRST = ("refused", "reconnecting", "stalled", "stopped")


@dataclass(frozen=True, slots=True)
class World:
    """What every part of the system is made of.

    ``sources`` says where each setting came from, as far as whoever read them tells.
    """

    settings: Settings
    host: Host
    telemetry: Telemetry
    credentials: Credentials
    sources: Mapping[str, str] = field(default_factory=dict)


class LinkStatus(msgspec.Struct, frozen=True):
    """One connection to the broker, as operators see it: how it is, for how long, and why."""

    role: str
    state: Condition
    for_s: float
    reason: str


class Messaging:
    """The links of one process: one for each of the ``queues``, and those by which it publishes.

    The relay of order-events has a publisher of its own, if it ``relays``; copies that are retried
    or parked leave by another one, so that a delay queue which takes nothing holds up no event.
    ``journal`` is the embedded broker's database, None where the broker is somewhere else.
    ``management`` tells what that one has to say of its queues; None where nobody has named it.
    """

    def __init__(
        self,
        world: World,
        queues: Sequence[str],
        journal: Database | None,
        management: Management | None = None,
        *,
        relays: bool,
    ) -> None:
        self._world = world
        self.broker = self._embedded(journal)
        self.figures = self._source_of_figures(management)
        self.consuming = {queue: self._link(f"consume-{queue}", (queue,)) for queue in queues}
        self._publishing: dict[str, Link] = {}
        if relays:
            self._publishing["publish"] = self._link("publish", SUBSCRIPTIONS)
        if queues:
            self._publishing["copy"] = self._link("copy", queues)
        self._publishers = {role: self._publisher(link) for role, link in self._publishing.items()}

    @property
    def relay_publisher(self) -> LinkPublisher:
        """By which the events of order-events leave."""
        return self._publishers["publish"]

    def publishing(self) -> list[ChildSpec]:
        """Return the children that keep the publishing links alive."""
        return [link.child() for link in self._publishing.values()]

    def links(self) -> list[LinkStatus]:
        """Return how each connection is."""
        now = self._world.host.clock.monotonic()
        return [
            LinkStatus(state.role, state.state, round(now - state.since, 1), state.reason)
            for state in self._states()
        ]

    def check(self) -> str:
        """Return ``ok``, or how the worst of the links is, since when, and in a word why."""
        down = [state for state in self._states() if state.state != "connected"]
        if not down:
            return "ok"
        worst = min(down, key=lambda state: (WORST_FIRST.index(state.state), state.since))
        away_s = self._world.host.clock.monotonic() - worst.since
        return f"{worst.state} {away_s:.0f}s" + (f": {worst.word}" if worst.word else "")

    def surroundings(self, queue: str, database: Database) -> Surroundings:
        """Return what the message service of ``queue`` works with."""
        settings = self._world.settings
        return Surroundings(
            link=self.consuming[queue],
            publisher=self._publishers["copy"],
            database=database,
            host=self._world.host,
            telemetry=self._world.telemetry,
            retry=RetryPolicy(settings.retry.tiers_s, settings.retry.attempts_max),
            retention_s=settings.dedup.retention_s,
            lanes=settings.runtime.lanes,
            prefetch=settings.broker.prefetch,
        )

    def url(self) -> str:
        """Return the broker's address, with the password."""
        if self.broker is None:
            return self._world.settings.broker.url.reveal()
        return embedded_url(self._world.credentials, self.broker.port)

    @property
    def broker_name(self) -> str:
        """The broker's address, without the password."""
        return str(Address.parse(self.url()))

    def _source_of_figures(self, management: Management | None) -> AskFigures:
        """Return who tells what only a broker knows of its queues."""
        if self.broker is not None:
            return partial(_own_figures, self.broker, self._world.host.clock)
        return no_figures if management is None else management.figures

    def _embedded(self, journal: Database | None) -> BrokerServer | None:
        if journal is None:
            return None
        return BrokerServer(
            self._world.host,
            journal,
            bind=LOOPBACK,
            port=0,
            users={ACCOUNT: self._world.credentials.broker_password.reveal()},
            telemetry=self._world.telemetry,
        )

    def _states(self) -> list[LinkState]:
        return [link.state for link in (*self._publishing.values(), *self.consuming.values())]

    def _publisher(self, link: Link) -> LinkPublisher:
        deadline_s = self._world.settings.broker.confirm_timeout_s
        return LinkPublisher(link, self._world.telemetry, deadline_s=deadline_s)

    def _link(self, role: str, services: Iterable[str]) -> Link:
        settings = self._world.settings
        needed = topology(settings.retry.tiers_s, settings.broker.queue_type, services)

        async def prepare(session: Session) -> None:
            await declare(session, needed)

        return Link(
            self.url,
            role,
            self._world.host,
            self._world.telemetry,
            prepare=prepare,
            heartbeat_s=settings.broker.heartbeat_s,
            reconnect_s_min=settings.broker.reconnect_s_min,
            reconnect_s_max=settings.broker.reconnect_s_max,
        )


async def _own_figures(broker: BrokerServer, clock: Clock) -> BrokerFigures:
    """Look into our own broker. Ages are by the messages themselves, so a restart loses none."""
    if broker.statistics() is None:
        return BrokerFigures(trouble="not available: the broker has not started")
    operator, now_s = broker.operator(), clock.wall()
    queues = {
        row.name: QueueFigures(
            unacked=row.messages_unacknowledged,
            oldest_age_s=None
            if row.head_message_timestamp is None
            else age_s(row.head_message_timestamp, now_s),
        )
        for row in operator.list_queues()
    }
    return BrokerFigures(queues=queues, alarms=[*operator.alarms()])


def embedded_url(credentials: Credentials, port: int) -> str:
    """Return the address of our own broker on this machine."""
    return f"amqp://{ACCOUNT}:{credentials.broker_password.reveal()}@{LOOPBACK}:{port}/"
