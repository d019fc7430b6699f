"""The operator's routes by which an order is forgotten, step by step.

``GET /erasures`` those that are not finished. ``POST /erasures/{order}`` begins one, or says how
far it is. ``POST /erasures/{order}/mailer`` and ``/carrier`` note what those parties have done;
``/store`` empties the vault and the idempotency records here, and notes it.
"""

from functools import partial

import msgspec
from quart import Blueprint, Response

from actors.deeds import deed
from actors.operators import Why, decoded, order_named
from actors.order_events import erasures
from actors.order_events.erasure import erase
from actors.order_events.erasures import STEPS, Erasure
from actors.order_events.parts import OrderEventsParts
from actors.status import answer
from runtime.errands import Done
from runtime.host import Clock
from runtime.transaction import Transaction

ACTION = "order-erase"


class ErasuresReply(msgspec.Struct, frozen=True):
    """Erasures that were begun and are not finished."""

    data: list[Erasure]


def add_erasures(routes: Blueprint, parts: OrderEventsParts, clock: Clock) -> None:
    """Hang the routes on the operator's blueprint."""
    work = _Work(parts, clock)

    @routes.get("/erasures")
    async def unfinished() -> Response:
        return answer(ErasuresReply(await parts.database.read(erasures.unfinished)))

    @routes.post("/erasures/<order_id>")
    async def begin(order_id: str) -> Response:
        what = deed(ACTION, order_named(order_id), (await decoded(Why)).reason)
        return answer(await parts.errands.carry_out(what, partial(work.begin, order_id)))

    @routes.post(f"/erasures/<order_id>/<any({','.join(STEPS)}):step>")
    async def finish(order_id: str, step: str) -> Response:
        what = deed(f"{ACTION}-{step}", order_named(order_id), (await decoded(Why)).reason)
        return answer(await parts.errands.carry_out(what, partial(work.finish, order_id, step)))


class _Work:
    def __init__(self, parts: OrderEventsParts, clock: Clock) -> None:
        self._database = parts.database
        self._latest = parts.latest
        self._clock = clock

    async def begin(self, order_id: str) -> Done:
        at_ms = int(self._clock.wall() * 1000)

        def begin(tx: Transaction) -> Erasure:
            return erasures.begin(tx, order_id, at_ms)

        return _done(await self._database.write(begin))

    async def finish(self, order_id: str, step: str) -> Done:
        at_ms = int(self._clock.wall() * 1000)
        if step == "store":
            await self._database.read(
                lambda reader: erasures.require_turn(reader, order_id, "store")
            )
            await erase(self._database, self._latest, order_id)

        def finish(tx: Transaction) -> Erasure:
            return erasures.finish(tx, order_id, step, at_ms)

        return _done(await self._database.write(finish))


def _done(erasure: Erasure) -> Done:
    return Done(erasure, f"left: {', '.join(erasure.left) or 'nothing'}")
