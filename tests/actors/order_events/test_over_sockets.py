"""The internal API on a real server: callers that go away, and a stop with long polls open."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio

from actors.batching import BatchingClient
from actors.domain.order_events import OrderQuery
from actors.order_events.http_client import HttpOrderEvents
from actors.order_events.parts import OrderEventsParts
from actors.service_client import ServiceClient, service_transport
from runtime.http import HttpServer
from tests.harness.order_events import (
    TOKENS,
    order_events_app,
    order_events_parts,
    sample_intent,
)
from tests.harness.orders import sample_placing
from tests.harness.running import running
from tests.harness.waiting import until


@asynccontextmanager
async def _served(parts: OrderEventsParts) -> AsyncIterator[ServiceClient]:
    app, stop_streams = order_events_app(parts), parts.wakeups.close
    server = HttpServer(app, "127.0.0.1", 0, stop_streams=stop_streams)
    # The client outlives the server, so that a stop finds its requests still open.
    transport = service_transport(100)
    async with aclosing(transport), running(server.run):
        yield ServiceClient(f"http://127.0.0.1:{server.port}", transport)


async def test_a_caller_that_goes_away_does_not_take_its_command_along(tmp_path: Path) -> None:
    async with order_events_parts(tmp_path) as parts, _served(parts) as http:
        hasty = HttpOrderEvents(BatchingClient(http), TOKENS["gateway"])
        for number in range(20):
            with anyio.move_on_after(0.001 * number):
                await hasty.execute(sample_placing(), sample_intent(f"k{number}"))
        patient = HttpOrderEvents(BatchingClient(http), TOKENS["gateway"])
        orders = {
            (await patient.execute(sample_placing(), sample_intent(f"k{number}"))).order.id
            for number in range(20)
        }
        assert len(orders) == len(await patient.orders(OrderQuery(limit=100))) == 20


async def test_a_stop_does_not_wait_for_long_polls(tmp_path: Path) -> None:
    answers: list[object] = []
    async with order_events_parts(tmp_path) as parts, anyio.create_task_group() as tasks:

        async def poll(http: ServiceClient, order_id: str) -> None:
            client = HttpOrderEvents(BatchingClient(http), TOKENS["gateway"])
            answers.append(await client.events(order_id, after=1, wait_s=30.0))

        with anyio.fail_after(15):
            async with _served(parts) as http:
                client = HttpOrderEvents(BatchingClient(http), TOKENS["gateway"])
                order = (await client.execute(sample_placing(), sample_intent())).order
                tasks.start_soon(poll, http, order.id)
                await until(lambda: parts.wakeups.watching == 1)
    assert answers == [[]]
