"""Clients of every implementation of `OrderEvents`, for their contract.

To add an implementation, add to `IMPLEMENTATIONS` a context manager that runs a fresh service in a
folder and gives a function from a service's name to its client.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from actors.domain.events import EVENT_TYPES
from actors.domain.order import Order
from actors.domain.order_events import (
    OrderEvents,
    Service,
)
from runtime.errors import Rejection
from tests.harness.order_events import (
    order_events_over_http,
    order_events_parts,
    sample_intent,
)
from tests.harness.orders import SAMPLES, sample_placing

Clients = Callable[[Service], OrderEvents]


@asynccontextmanager
async def _local(folder: Path) -> AsyncIterator[Clients]:
    async with order_events_parts(folder) as parts:
        yield parts.client


@asynccontextmanager
async def _http(folder: Path) -> AsyncIterator[Clients]:
    async with order_events_parts(folder) as parts, order_events_over_http(parts) as client:
        yield client


@asynccontextmanager
async def _batches(folder: Path) -> AsyncIterator[Clients]:
    async with (
        order_events_parts(folder) as parts,
        order_events_over_http(parts, together=True) as client,
    ):
        yield client


IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractAsyncContextManager[Clients]]] = {
    "local": _local,
    "http": _http,
    "batches": _batches,
}


async def placed(clients: Clients, email: str = "ada@example.org") -> Order:
    """Place an order."""
    receipt = await clients("gateway").execute(sample_placing(email=email), sample_intent())
    return receipt.order


async def append(clients: Clients, order_id: str, *event_types: str) -> None:
    """Append events, each by the service whose it is."""
    for event_type in event_types:
        service: Service = (
            "payment" if EVENT_TYPES[event_type].app_id == "payment-service" else "shipping"
        )
        await clients(service).append(
            order_id, f"{order_id}-{event_type}", SAMPLES[event_type], correlation_id="msg_1"
        )


async def refused(call: object) -> Rejection:
    """Return what a call is refused with."""
    with pytest.raises(Rejection) as caught:
        await call  # type: ignore[misc]  # any coroutine of the protocol
    return caught.value


PAID = ("payment-auth-in-progress", "payment-captured")
PREPARED = (*PAID, "shipping-preparation-in-progress", "shipping-prepared")
