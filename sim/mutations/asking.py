"""Defects of what is asked over HTTP: by one service of another, and by who watches an order."""

from collections.abc import AsyncIterator
from typing import Any

from actors.gateway.streams import StreamReads
from actors.service_pool import ServicePool
from sim.mutations.patching import Patch


def connection_kept_by_who_has_left(patch: Patch) -> None:
    """A request that is given up may keep its connection: the library's pool as it is."""
    as_it_is: Any = ServicePool.__base__
    for name in ("handle_async_request", "_assign_requests_to_connections"):
        patch.set(ServicePool, name, getattr(as_it_is, name))


def stream_begins_with_what_is_new(patch: Patch) -> None:
    """A stream tells only what happens from now on: what happened between two visits is lost."""

    async def frames(self: Any, order_id: str, after: int) -> AsyncIterator[bytes]:
        order = await self._gateway.order_events.order(order_id)
        async for frame in original(self, order_id, order.version if after else 0):
            yield frame

    original = patch.set(StreamReads, "_frames", frames)
