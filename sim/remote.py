"""A call from one node to another party's, over a network that loses requests and replies.

The outside parties (provider, carrier, mailer) are nodes with processes, disks and books of their
own. The product reaches them through its ports; here each port is a call that leaves the caller's
incarnation, runs in the party's, and comes back if both still live. What a caller sees of every
trouble is the same as in the real world: silence until its time-out, hence *unknown*.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from runtime.errors import Unavailable
from sim.engine import Engine
from sim.incarnation import CURRENT, Incarnation

T = TypeVar("T")
TIMEOUT_S = 8.0


class Weather(msgspec.Struct):
    """How the way to one party is: shares of calls of which request or reply get lost, delays."""

    lose_requests: float = 0.0
    lose_replies: float = 0.0
    fail: float = 0.0
    slow_s: float = 0.0


class Remote:
    """The way to one party. ``incarnation`` is its living process, None while it is down."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self.weather = Weather()
        self.incarnation: Incarnation | None = None
        self.lost_replies = self.lost_requests = 0
        self._engine = engine
        self._random = engine.seed.stream("party", name)

    async def call(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        """Have the party carry ``operation`` out; `Unavailable` where no answer comes in time."""
        rng, weather, engine = self._random, self.weather, self._engine
        fate = rng.random()
        await asyncio.sleep(rng.uniform(0.001, 0.02) + rng.random() * weather.slow_s)
        target = self.incarnation
        if target is None or target.state != "alive" or fate < weather.lose_requests:
            self.lost_requests += 1
            engine.note("party", self.name, what, "no request")
            await asyncio.sleep(TIMEOUT_S)
            raise Unavailable(f"{self.name}: no answer within {TIMEOUT_S:g} s")
        if fate < weather.lose_requests + weather.fail:
            engine.note("party", self.name, what, "503")
            raise Unavailable(f"{self.name} answered 503")
        reply: asyncio.Future[T] = engine.loop.create_future()
        lost = fate > 1 - weather.lose_replies
        delay = rng.uniform(0.001, 0.02) + rng.random() * weather.slow_s
        here = CURRENT.get()
        target.spawn(self._carry_out(what, operation, None if lost else reply, delay, here))
        done, _ = await asyncio.wait([reply], timeout=TIMEOUT_S)
        if not done:
            raise Unavailable(f"{self.name}: no answer within {TIMEOUT_S:g} s")
        return reply.result()

    async def _carry_out(
        self,
        what: str,
        operation: Callable[[], Awaitable[Any]],
        reply: "asyncio.Future[Any] | None",
        delay: float,
        caller: Incarnation | None,
    ) -> None:
        engine = self._engine
        try:
            result, error = await operation(), None
        except Exception as raised:
            result, error = None, raised
        engine.note("party", self.name, what, "done" if error is None else type(error).__name__)
        if reply is None:
            self.lost_replies += 1
            engine.note("party", self.name, what, "reply lost")
            return

        def arrive() -> None:
            if not reply.done():
                if error is not None:
                    reply.set_exception(error)
                else:
                    reply.set_result(result)

        context = None if caller is None else caller.context
        engine.loop.call_later(delay, arrive, context=context)
