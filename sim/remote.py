"""A call from one node to another party's, over a network that loses requests and replies.

The outside parties (provider, carrier, mailer) are nodes with processes, disks and books of their
own. The product reaches them through its ports; here each port is a call that leaves the caller's
incarnation, runs in the party's, and comes back if both still live. What a caller sees of every
trouble is the same as in the real world: silence until its time-out, hence *unknown*.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from runtime.errors import StoreBroken, Unavailable
from sim.chance import Chance
from sim.engine import Engine
from sim.incarnation import CURRENT, NOBODY, Incarnation

T = TypeVar("T")
TIMEOUT_S = 8.0


def _nothing() -> None:
    """Nobody wants to know."""


class Trouble:
    """What happens to some calls: those that ``chance``, which is about a name, takes.

    ``request_s`` and ``reply_s`` delay the way there and back (a request that takes longer than the
    caller waits still arrives); ``lose_request``, ``lose_reply`` and ``refuse`` (a 503) speak for
    themselves. ``before`` and ``after`` are called around the carrying out, ``struck`` when the
    trouble has had its effect.
    """

    def __init__(
        self,
        chance: Chance,
        *,
        request_s: float = 0.0,
        reply_s: float = 0.0,
        lose_request: bool = False,
        lose_reply: bool = False,
        refuse: bool = False,
        before: Callable[[], None] = _nothing,
        after: Callable[[], None] = _nothing,
        struck: Callable[[], None] = _nothing,
    ) -> None:
        self.request_s, self.reply_s = request_s, reply_s
        self.lose_request, self.lose_reply = lose_request, lose_reply
        self.refuse = refuse
        self.before, self.after, self.struck = before, after, struck
        self._chance = chance

    def wants(self, what: str) -> bool:
        """Whether this call is in trouble."""
        return self._chance.only in ("", what) and self._chance.takes()


class Remote:
    """The way to one party. ``incarnation`` is its living process, None while it is down."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self.troubles: list[Trouble] = []
        self.incarnation: Incarnation | None = None
        self._engine = engine
        self._random = engine.seed.stream("party", name)
        self._coming = 0
        self._carried_out: dict[Incarnation, int] = {}

    @property
    def busy(self) -> bool:
        """Whether a request is on its way or being carried out, its caller alive or not."""
        return self._coming > 0 or (
            self.incarnation is not None and self._carried_out.get(self.incarnation, 0) > 0
        )

    async def call(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        """Have the party carry ``operation`` out; `Unavailable` where no answer comes in time."""
        engine = self._engine
        trouble = next((one for one in self.troubles if one.wants(what)), None)
        there, back = self._random.uniform(0.001, 0.02), self._random.uniform(0.001, 0.02)
        if trouble is not None and trouble.refuse:
            await asyncio.sleep(there)
            engine.note("party", self.name, what, "503")
            trouble.struck()
            raise Unavailable(f"{self.name} answered 503")
        reply: asyncio.Future[T] = engine.loop.create_future()
        if trouble is None or not trouble.lose_request:
            delay = there + (0.0 if trouble is None else trouble.request_s)
            arrive = self._arrived, what, operation, reply, back, trouble, CURRENT.get()
            self._coming += 1
            engine.loop.call_later(delay, *arrive, context=NOBODY)
        else:
            engine.note("party", self.name, what, "request lost")
            trouble.struck()
        done, _ = await asyncio.wait([reply], timeout=TIMEOUT_S)
        if not done:
            raise Unavailable(f"{self.name}: no answer within {TIMEOUT_S:g} s")
        return reply.result()

    def _arrived(
        self,
        what: str,
        operation: Callable[[], Awaitable[Any]],
        reply: "asyncio.Future[Any]",
        back: float,
        trouble: Trouble | None,
        caller: Incarnation | None,
    ) -> None:
        """A request is there; it is carried out whether the caller still waits or not."""
        self._coming -= 1
        target = self.incarnation
        if target is None or target.state != "alive":
            self._engine.note("party", self.name, what, "nobody there")
            return
        if trouble is not None:
            trouble.before()
        self._carried_out[target] = self._carried_out.get(target, 0) + 1
        target.spawn(self._carry_out(what, operation, reply, back, trouble, caller, target))

    async def _carry_out(
        self,
        what: str,
        operation: Callable[[], Awaitable[Any]],
        reply: "asyncio.Future[Any]",
        back: float,
        trouble: Trouble | None,
        caller: Incarnation | None,
        target: Incarnation,
    ) -> None:
        engine = self._engine
        try:
            result, error = await operation(), None
        except Exception as raised:
            result, error = None, raised
        except StoreBroken:  # the party's process ends of it, and nobody answers
            return
        self._carried_out[target] -= 1
        engine.note("party", self.name, what, "done" if error is None else type(error).__name__)
        if trouble is not None:
            trouble.struck()
            trouble.after()
            if trouble.lose_reply:
                engine.note("party", self.name, what, "reply lost")
                return
            back += trouble.reply_s

        def arrive() -> None:
            if not reply.done():
                if error is not None:
                    reply.set_exception(error)
                else:
                    reply.set_result(result)

        context = None if caller is None else caller.context
        engine.loop.call_later(back, arrive, context=context)
