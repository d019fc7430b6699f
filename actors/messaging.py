"""One process's share of the broker: its connections, its publisher, and perhaps the broker itself.

A process declares the whole topology, whichever services it runs: whoever starts first, no message
is lost for want of a queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.credentials import Credentials
from actors.settings import Settings
from actors.topology import topology
from runtime.amqp.address import Address
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.session import Session
from runtime.amqp.topology import declare
from runtime.broker.server import BrokerServer
from runtime.database import Database
from runtime.host import Host
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
    """What every part of the system is made of."""

    settings: Settings
    host: Host
    telemetry: Telemetry
    credentials: Credentials


class Messaging:
    """The links of one process: one that publishes, and one for each of the ``queues`` it consumes.

    ``journal`` is the embedded broker's database, None where the broker is somewhere else.
    """

    def __init__(self, world: World, queues: Sequence[str], journal: Database | None) -> None:
        self._world = world
        self.broker = self._embedded(journal)
        self.publishing = self._link("publish")
        self.consuming = {queue: self._link(f"consume-{queue}") for queue in queues}
        self.publisher = LinkPublisher(
            self.publishing,
            world.telemetry,
            deadline_s=world.settings.broker.confirm_timeout_s,
        )

    def check(self) -> str:
        """Return ``ok``, or how the worst of the links is, since when, and in a word why."""
        states = [link.state for link in (self.publishing, *self.consuming.values())]
        down = [state for state in states if state.state != "connected"]
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
            publisher=self.publisher,
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

    def _link(self, role: str) -> Link:
        settings = self._world.settings
        everything = topology(settings.retry.tiers_s, settings.broker.queue_type)

        async def prepare(session: Session) -> None:
            await declare(session, everything)

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


def embedded_url(credentials: Credentials, port: int) -> str:
    """Return the address of our own broker on this machine."""
    return f"amqp://{ACCOUNT}:{credentials.broker_password.reveal()}@{LOOPBACK}:{port}/"
