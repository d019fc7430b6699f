"""Whoever keeps an order's page open is told of each event, once, whatever happens meanwhile."""

import asyncio
from contextlib import suppress

import pytest

from sim.engine import engine
from sim.history import Watching
from sim.incarnation import Incarnation
from sim.plan import Act, Order, World
from sim.run import Running
from sim.seed import Seed
from sim.watcher import Watcher
from tests.sim.faults.small import MUG, QUICK, Struck, strike

TYPES = [
    "order-created",
    "payment-auth-in-progress",
    "payment-captured",
    "shipping-preparation-in-progress",
    "shipping-prepared",
    "shipped",
]
ORDERS = (
    Order(
        number=1,
        at_s=1.0,
        items=MUG,
        acts=(Act(do="watch"), Act(do="watch", after_s=1.5), Act(do="ship", on="prepared")),
    ),
    Order(number=2, at_s=1.1, items=MUG, acts=(Act(do="watch", after_s=0.1),)),
)


def watching(running: Running) -> dict[str, Watching]:
    return {one.name: one for one in running.world.witness.watching()}


def types(one: Watching) -> list[str]:
    return [told.type.removesuffix("/v1") for told in one.told if told.what == "event"]


def watched(kind: str, target: str, shape: str, **facts: object) -> Struck:
    world = World(shape=shape, own_broker=shape == "together", settings=QUICK)  # type: ignore[arg-type]
    return strike(kind, target, world=world, orders=ORDERS, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", ["together", "apart"])
def test_a_stream_tells_of_each_event_until_there_can_be_no_more(shape: str) -> None:
    struck = watched("kill", "mailer", shape)
    pages = watching(struck.running)
    assert list(pages) == ["o1-watch0", "o2-watch0", "o1-watch1"]
    assert [types(one) for one in pages.values()] == [TYPES, TYPES[:-1], TYPES]
    assert [one.complete for one in pages.values()] == [True, False, True]
    assert struck.breaches == []
    cases = struck.result.cases
    assert cases["whoever_watches_sees_everything"] == 3
    assert cases["streams_tell_the_log_in_order"] >= 3 * 6


@pytest.mark.parametrize(
    ("kind", "target", "visits"),
    [
        ("kill", "gateway", 2),
        ("kill", "order-events", 1),
        ("sigterm", "gateway", 2),
        ("reset", "customers|gateway", 2),
        ("reset", "gateway|order-events", 1),
        ("silence", "customers|gateway", 1),
        ("silence", "gateway|order-events", 1),
    ],
)
def test_a_stream_that_is_cut_off_goes_on_where_it_was(kind: str, target: str, visits: int) -> None:
    struck = watched(kind, target, "apart", at_s=1.25, for_s=3.0)
    pages = watching(struck.running)
    assert [types(one) for one in pages.values()] == [TYPES, TYPES[:-1], TYPES]
    opened = [told.version for told in pages["o1-watch0"].told if told.what == "opened"]
    assert len(opened) >= visits
    assert opened == sorted(opened)
    assert struck.breaches == []


@pytest.mark.parametrize("after_s", [0.0, 0.5, 2.0])
def test_a_page_that_is_closed_while_it_opens_is_closed(after_s: float) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1)
            writer.write(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n")
            await reader.read()
        writer.close()
        ended.set()

    with engine(Seed(1)) as made:

        async def main() -> None:
            await Incarnation("server", 1).spawn(asyncio.start_server(serve, "0.0.0.0", 80))
            watcher = Watcher(made, ("server", 80), Watching("w", "ord_1"), "token", 30.0)
            customer = Incarnation("customer", 1).spawn(watcher.run())
            await asyncio.sleep(after_s)
            watcher.leave()
            await asyncio.wait([customer], timeout=5)
            assert customer.done()
            await asyncio.sleep(1)
            assert ended.is_set()

        made.run(main())
