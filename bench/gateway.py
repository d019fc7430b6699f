"""The gateway of ordermill as a process to send requests to, with its order store or without.

``python -m bench.gateway --folder DIR`` runs the gateway and order-events, which keeps every order
(nothing is published: there is no broker); with ``--alone`` orders are only answered.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import cast

import anyio

from actors.apps import Apps, http_child
from actors.commands.stopping import Stop
from actors.credentials import load_credentials
from actors.domain.events import Event, OrderCreated
from actors.domain.order import fold
from actors.domain.order_events import (
    Command,
    Intent,
    OrderEvents,
    PlaceOrder,
    Receipt,
    payment_method,
)
from actors.domain.shipments import Shipments
from actors.domain.values import total_of
from actors.gateway.console.backstage import Backstage, Desks
from actors.gateway.console.login_links import LoginLinks
from actors.gateway.streams import Streams
from actors.messaging import World
from actors.notification.http_client import HttpCorrespondence
from actors.settings import Api, Http, Settings
from actors.tree_desk import TreeDesk
from bench.order_store import OrderStore, with_order_store
from bench.supervised import Ground
from runtime.host import run_process


class AtOnce:
    """An order store that keeps nothing: what placing an order is answered with, made at once."""

    def __init__(self, ground: Ground) -> None:
        self._ids = ground.host.ids

    async def execute(self, command: Command, intent: Intent) -> Receipt:
        """Answer that the order was placed."""
        assert isinstance(command, PlaceOrder), "only placing is measured"
        total = total_of(command.items)
        method = payment_method("pay_1", command.payment)
        created = Event(
            id=self._ids.new("evt"),
            order_id=self._ids.new("ord"),
            version=1,
            body=OrderCreated(1001, command.items, total, method, "cus_1", "adr_1"),
            correlation_id=intent.correlation_id,
            order_correlation=intent.correlation_id,
            recorded_at_ms=1_790_000_000_000,
        )
        return Receipt(fold(None, created), replayed=False)

    async def replay(self, _intent: Intent) -> Receipt | None:
        """Nothing was asked before."""
        return None


async def serve(folder: Path, *, alone: bool) -> None:
    """Serve until told to stop."""
    ground = Ground(folder)
    async with Stop() as stop:
        if alone:
            await _serve(ground, cast("OrderEvents", AtOnce(ground)), stop.stopping)
        else:

            async def work(store: OrderStore) -> None:
                orders = cast("OrderEvents", store.client("gateway"))
                await _serve(ground, orders, stop.stopping)

            await with_order_store(ground, work)


async def _serve(ground: Ground, orders: OrderEvents, stopping: anyio.Event) -> None:
    settings = Settings(http=Http(port=0), api=Api(rate_per_min=0))
    credentials = await load_credentials(settings, ground.host, ("gateway",))
    world = World(settings, ground.host, ground.telemetry, credentials)
    tree = cast("TreeDesk", None)
    apps = Apps(world, dict[str, str], (), dict, tree)
    nobody = cast("Shipments", None), HttpCorrespondence(None, "")
    backstage = Backstage(
        desks=cast("Desks", None),
        links=LoginLinks(ground.host),
        here=("gateway",),
        process=dict,
        tree=tree,
        settings=tuple,
        subscriptions={},
        outbox_warn_s=settings.outbox.warn_age_s,
    )
    server = apps.gateway(orders, *nobody, Streams(), backstage)

    async def until_told() -> None:
        print(f"ready http://127.0.0.1:{server.port}", flush=True)
        await stopping.wait()

    await ground.supervise((http_child("gateway", server, settings),), until_told)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="The gateway, with its order store.")
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--alone", action="store_true", help="Answer at once, keep nothing.")
    given = parser.parse_args()
    run_process(partial(serve, given.folder, alone=given.alone))


if __name__ == "__main__":
    main()
