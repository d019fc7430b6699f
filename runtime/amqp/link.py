"""The supervised connection to the broker: it comes back by itself, and says so once.

Its law: at most one session at a time; `Link.session` gives the live one or waits for it; a broker
that is away is waited for with backoff and full jitter, and never ends the program. Two things do:
an account that is refused before we ever were connected, and a topology that does not match.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

import anyio
import msgspec

from runtime.amqp.address import Address
from runtime.amqp.awaiting import either
from runtime.amqp.session import Session, connect
from runtime.child import ChildContext, ChildSpec
from runtime.errors import ConfigurationError, Unavailable
from runtime.host import Host
from runtime.telemetry import Telemetry

REMIND_S = 60.0
REFUSED_S = 1.0
STEADY_S = 5.0
QUARANTINE_DELIVERIES = 64
QUARANTINE_S = 30.0


class LinkState(msgspec.Struct, frozen=True):
    """Whether there is a live session. ``since`` is monotonic seconds on the host's clock."""

    role: str
    state: Literal["connected", "reconnecting", "stopped"]
    since: float
    reason: str = ""


class Quarantine:
    """Consuming with care after a message broke the connection that received it.

    While it is `active` consumers take one message at a time, so that the broken one is counted
    against the queue's delivery limit alone, without its innocent neighbours. It ends after 64
    good deliveries, or after 30 calm seconds.
    """

    def __init__(self, host: Host) -> None:
        self._clock = host.clock
        self._good_left = 0
        self._until = 0.0

    @property
    def active(self) -> bool:
        """Whether to take one message at a time."""
        return self._good_left > 0 and self._clock.monotonic() < self._until

    def begin(self) -> None:
        """A frame could not be decoded."""
        self._good_left = QUARANTINE_DELIVERIES
        self._until = self._clock.monotonic() + QUARANTINE_S

    def good(self) -> None:
        """A delivery arrived in good order."""
        if self._good_left:
            self._good_left -= 1


class Link:
    """One connection for one role (``publish`` or ``consume``), kept alive by its `run`.

    ``url`` may be a function: it is asked before each attempt to connect, for a broker whose port
    is known only once it listens. ``prepare`` runs on each new session before anyone else sees it:
    it declares the topology.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        role: str,
        host: Host,
        telemetry: Telemetry,
        *,
        prepare: Callable[[Session], Awaitable[None]] | None = None,
        heartbeat_s: int = 10,
        reconnect_s_min: float = 0.1,
        reconnect_s_max: float = 10.0,
    ) -> None:
        if not 1 <= heartbeat_s <= 3600:
            raise ConfigurationError(
                f"broker.heartbeat_s is {heartbeat_s}", hint="choose 1 to 3600 seconds"
            )
        self.role = role
        self.quarantine = Quarantine(host)
        self._url = url if callable(url) else None
        self._address = Address.parse(url() if callable(url) else url)
        self._host = host
        self._telemetry = telemetry
        self._prepare = prepare
        self._heartbeat_s = heartbeat_s
        self._delay_s = reconnect_s_min, reconnect_s_max
        self._session: Session | None = None
        self._changed = anyio.Event()
        self._epoch = 0
        self._failures = 0
        self._welcome = self._refused = False
        self._reminded = 0.0
        self._state = LinkState(role, "reconnecting", host.clock.monotonic(), "not started")

    @property
    def state(self) -> LinkState:
        """For readiness: connected, reconnecting (since when, and why), or stopped."""
        return self._state

    def child(self) -> ChildSpec:
        """Return what the supervisor needs to keep this link alive."""
        return ChildSpec(name=f"link-{self.role}", run=self.run)

    async def session(self) -> Session:
        """Return the live session; wait for one while there is none."""
        while self._session is None or self._session.lost.is_set():
            await self._changed.wait()
        return self._session

    async def declare_again(self, session: Session) -> None:
        """Prepare a session that is still alive once more (a queue may have been deleted)."""
        if self._prepare is not None:
            await self._prepare(session)

    async def run(self, context: ChildContext) -> None:
        """Connect, and connect again, until told to stop.

        It has started once the first attempt has ended, well or not: a refusal then still stops
        the start, and a broker that is away does not.
        """
        try:
            while not context.stopping.is_set():
                session = await self._connect()
                context.started()
                if session is None:
                    await self._pause(context.stopping)
                    continue
                await self._use(session, context.stopping)
        finally:
            if self._session is not None:
                self._session.abandon("the link stopped")
            self._session = None
            self._become("stopped", "")

    async def _connect(self) -> Session | None:
        self._epoch += 1
        if self._url is not None:
            self._address = Address.parse(self._url())
        session = None
        try:
            session = await connect(
                self._address, self._heartbeat_s, f"ordermill {self.role}", self._epoch
            )
            if self._prepare is not None:
                await self._prepare(session)
        except ConfigurationError as error:
            if session is not None:
                session.abandon("refused")
            if session is not None or not self._welcome:
                raise
            self._refused = True
            self._lost(str(error))
        except Unavailable as error:
            if session is not None:
                session.abandon("could not be prepared")
            self._lost(str(error))
        else:
            self._welcome, self._refused = True, False
            return session
        return None

    async def _use(self, session: Session, stopping: anyio.Event) -> None:
        self._begin(session)
        began = self._host.clock.monotonic()
        await either(session.lost, stopping)
        if not session.lost.is_set():
            self._session = None
            await session.close()
            return
        session.abandon(session.reason)
        if session.poisoned:
            self.quarantine.begin()
        if session.poisoned or self._host.clock.monotonic() - began >= STEADY_S:
            self._failures = 0
        self._lost(session.reason)
        await self._pause(stopping)

    def _begin(self, session: Session) -> None:
        self._session = session
        down_s = round(self._host.clock.monotonic() - self._state.since, 3)
        self._become("connected", "")
        self._telemetry.event("broker.back", role=self.role, down_s=down_s)
        self._changed.set()
        self._changed = anyio.Event()

    def _lost(self, reason: str) -> None:
        now = self._host.clock.monotonic()
        if self._state.state == "connected" or self._failures == 0 or now >= self._reminded:
            self._reminded = now + REMIND_S
            self._telemetry.event("broker.lost", "warning", role=self.role, error=reason)
        self._session = None
        self._failures += 1
        if self._state.state != "reconnecting" or self._state.reason == "not started":
            self._become("reconnecting", reason)

    async def _pause(self, stopping: anyio.Event) -> None:
        # Full jitter: many clients of one broker must not come back in step.
        shortest, longest = self._delay_s
        delay = min(longest, shortest * 2.0 ** min(self._failures, 20))
        if self.quarantine.active:
            delay = shortest
        wait = self._host.random.uniform(0, delay) + (REFUSED_S if self._refused else 0)
        with anyio.move_on_after(wait):
            await stopping.wait()

    def _become(self, state: Literal["connected", "reconnecting", "stopped"], why: str) -> None:
        self._state = LinkState(self.role, state, self._host.clock.monotonic(), why)
