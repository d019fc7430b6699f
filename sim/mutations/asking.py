"""Defects of requests from one service to another."""

from typing import Any

from actors.service_pool import ServicePool
from sim.mutations.patching import Patch


def connection_kept_by_who_has_left(patch: Patch) -> None:
    """A request that is given up may keep its connection: the library's pool as it is."""
    as_it_is: Any = ServicePool.__base__
    for name in ("handle_async_request", "_assign_requests_to_connections"):
        patch.set(ServicePool, name, getattr(as_it_is, name))
