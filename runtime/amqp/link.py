"""The supervised connection to the broker: it comes back by itself, and says so once.

Its law: at most one session at a time; `Link.session` gives the live one or waits for it; a broker
that is away is waited for with backoff and full jitter, and never ends the program. What does is a
broker that refuses us at the very first attempt: an account, a topology that does not match. Later
the same refusal is an outage, because by then there are customers.
"""

from collections.abc import Awaitable, Callable

import anyio

from runtime.amqp.address import Address
from runtime.amqp.awaiting import either
from runtime.amqp.session import Session, connect
from runtime.amqp.standing import LinkState, Standing
from runtime.child import ChildContext, ChildSpec
from runtime.errors import BrokerLost, BrokerRefuses, ConfigurationError, Unavailable
from runtime.host import Host
from runtime.telemetry import Telemetry

# Who was refused asks seldom: a person must act first, and the broker writes a line each time.
REFUSED_S = 5.0
STEADY_S = 5.0
# A stall is believed for this long after its last sign, if nothing is confirmed meanwhile.
STALLED_S = 30.0
QUARANTINE_DELIVERIES = 64
QUARANTINE_S = 30.0


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
        reconnect_s_max: float = 2.0,
    ) -> None:
        if not 1 <= heartbeat_s <= 3600:
            raise ConfigurationError(
                f"broker.heartbeat_s is {heartbeat_s}", hint="choose 1 to 3600 seconds"
            )
        self.role = role
        self.telemetry = telemetry
        self.quarantine = Quarantine(host)
        self._url = url if callable(url) else None
        self._address = Address.parse(url() if callable(url) else url)
        self._host = host
        self._prepare = prepare
        self._heartbeat_s = heartbeat_s
        self._delay_s = reconnect_s_min, reconnect_s_max
        self._session: Session | None = None
        self._changed = anyio.Event()
        self._epoch = 0
        self._failures = 0
        self._tried = False
        self._standing = Standing(role, host.clock, telemetry)

    @property
    def state(self) -> LinkState:
        """For readiness: whether it is in order, since when, and if not, why."""
        return self._standing.now

    def child(self) -> ChildSpec:
        """Return what the supervisor needs to keep this link alive."""
        return ChildSpec(name=f"link-{self.role}", run=self.run)

    async def session(self) -> Session:
        """Return the live session; wait for one while there is none."""
        while self._session is None or self._session.lost.is_set():
            await self._changed.wait()
        return self._session

    async def declare_again(self, session: Session) -> None:
        """Prepare a session that is still alive once more (a queue may have been deleted).

        `BrokerLost` if it cannot be prepared any more: then the session has been given up.
        """
        if self._prepare is None:
            return
        try:
            await self._prepare(session)
        except ConfigurationError as error:
            session.abandon(str(error))
            raise BrokerLost("the session cannot be prepared any more") from error

    def stalled(self, session: Session, reason: str) -> None:
        """Say that a confirm is overdue, and give the session up."""
        self._standing.stalled(session.blocked or reason)
        session.abandon(reason)

    def flowing(self) -> None:
        """Say that the broker confirms what is published."""
        if self.state.state == "stalled":
            self._standing.connected()

    async def run(self, context: ChildContext) -> None:
        """Connect, and connect again, until told to stop.

        It has started once the first attempt has ended, well or not: a refusal then still stops
        the start, and a broker that is away does not.
        """
        try:
            while not context.stopping.is_set():
                session = await self._connect()
                self._tried = True
                context.started()
                if session is None:
                    await self._pause(context.stopping)
                    continue
                await self._use(session, context.stopping)
        finally:
            if self._session is not None:
                self._session.abandon("the link stopped")
            self._session = None
            self._standing.stopped()

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
            return session
        except ConfigurationError as error:
            if not self._tried:
                self._give_up(session)
                raise
            word = error.what if isinstance(error, BrokerRefuses) else "settings"
            self._standing.refused(str(error), word)
        except Unavailable as error:
            self._standing.lost(str(error))
        except BaseException:
            self._give_up(session)  # nobody else knows of it
            raise
        self._give_up(session)
        self._failures += 1
        return None

    def _give_up(self, session: Session | None) -> None:
        if session is not None:
            session.abandon("could not be prepared")

    async def _use(self, session: Session, stopping: anyio.Event) -> None:
        self._begin(session)
        began = self._host.clock.monotonic()
        await self._outlive(session, stopping)
        self._session = None
        if not session.lost.is_set():
            await session.close()
            return
        session.abandon(session.reason)
        if session.poisoned:
            self.quarantine.begin()
        if session.poisoned or self._host.clock.monotonic() - began >= STEADY_S:
            self._failures = 0
        self._failures += 1
        if self.state.state != "stalled":
            self._standing.lost(session.reason)
        await self._pause(stopping)

    def _begin(self, session: Session) -> None:
        self._session = session
        session.on_blocked(lambda: self._blocked(session))
        if self.state.state != "stalled":
            self._standing.connected()
        self._changed.set()
        self._changed = anyio.Event()

    def _blocked(self, session: Session) -> None:
        if session.blocked and not session.lost.is_set():
            self._standing.stalled(session.blocked)
        else:
            self.flowing()

    async def _outlive(self, session: Session, stopping: anyio.Event) -> None:
        """Wait for the end of the session, or of the link."""
        while not (session.lost.is_set() or stopping.is_set()):
            with anyio.move_on_after(STALLED_S):
                await either(session.lost, stopping)
                return
            if not session.blocked:
                self.flowing()  # nothing is overdue on this session, so the stall is history

    async def _pause(self, stopping: anyio.Event) -> None:
        # Full jitter: many clients of one broker must not come back in step.
        shortest, longest = self._delay_s
        delay = min(longest, shortest * 2.0 ** min(self._failures, 20))
        if self.quarantine.active:
            delay = shortest
        refused_s = REFUSED_S if self.state.state == "refused" else 0
        with anyio.move_on_after(self._host.random.uniform(0, delay) + refused_s):
            await stopping.wait()
