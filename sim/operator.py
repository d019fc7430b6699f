"""The operator: what he does when a broker has lost messages that it had confirmed.

Nobody but an operator can lose them so (he purged or deleted a queue), and nobody but he can see
it: he compares the log with what the services have dealt with, and offers the rest again. It is
what `ordermill outbox reoffer` does, over the same routes, as a process of its own.
"""

import asyncio
from typing import Any

from actors.services import CONSUMERS, OPERATOR_PREFIX
from actors.topology import SUBSCRIPTIONS
from sim.client import Client, NoAnswer
from sim.incarnation import Incarnation
from sim.world import OPERATOR, PORTS, SimulatedWorld

EVERY_S = 10.0
LOST = ("queue-purged", "queue-deleted")
"""The kinds of faults that make it necessary."""
_SAFE = ("done", "parked", "held")
_PAGE = 500


class Operator:
    """Looks every few seconds, and offers again what no service has; ``offered`` counts that."""

    def __init__(self, world: SimulatedWorld, dead: tuple[str, ...]) -> None:
        self.offered = 0
        self._world = world
        self._dead = dead
        together = world.plan.world.shape == "together"
        self._owner = Incarnation("shop" if together else "operator", 0)
        self._together = together
        self._work: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Go to work, until the run is over."""
        self._work = self._owner.spawn(self._run())

    def end(self) -> bool:
        """Have him go, because nothing is left to do; False if he has gone before."""
        return self._work is not None and self._work.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self._offer_again(await self._missing())
            except (NoAnswer, _NotNow):
                continue

    async def _missing(self) -> list[dict[str, Any]]:
        if (await self._ask("order-events", "GET", "/outbox"))["pending"]:
            return []  # it is not lost yet
        events = [event for event in await self._events() if event["published"]]
        missing = []
        for queue in CONSUMERS:
            if queue not in self._dead:
                kinds = SUBSCRIPTIONS[queue]
                ids = [one["id"] for one in events if one["type"].partition("/")[0] in kinds]
                states = await self._states(queue, ids)
                missing += [
                    {"event_id": one, "queue": queue, "replayed": states.get(one) == "requeued"}
                    for one in ids
                    if states.get(one) not in _SAFE
                ]
        return missing

    async def _events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            path = f"/events?after={after}&limit={_PAGE}"
            page = await self._ask("order-events", "GET", path)
            found += page["data"]
            if len(page["data"]) < _PAGE:
                return found
            after = page["last"]

    async def _states(self, queue: str, ids: list[str]) -> dict[str, str]:
        if not ids:
            return {}
        states: dict[str, str] = (await self._ask(queue, "POST", "/inbox", {"ids": ids}))["states"]
        return states

    async def _offer_again(self, missing: list[dict[str, Any]]) -> None:
        if missing:
            body = {"offers": missing, "reason": "the queue was purged"}
            await self._ask("order-events", "POST", "/outbox/reoffer", body)
            self.offered += len(missing)

    async def _ask(self, service: str, method: str, path: str, body: object = None) -> Any:
        host = "127.0.0.1" if self._together else service
        client = Client(host, PORTS[service])  # type: ignore[index]
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        try:
            answer = await client.request(
                method, OPERATOR_PREFIX + path, headers=headers, body=body
            )
        finally:
            client.close()
        if answer.status != 200:
            raise _NotNow
        return answer.json()


class _NotNow(Exception):
    """A service is away, or busy."""
