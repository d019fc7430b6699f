"""Stores with many orders are what the product would have made, order by order."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from actors.domain.order import status
from bench.case import Round
from bench.cases import growth, recover
from bench.grown import FILE, LIFE, grow, order_id_of
from bench.order_store import OrderStore, with_order_store
from bench.supervised import Ground
from runtime.event_store import find_faults

ORDERS = 60


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    grow(folder, ORDERS)
    return folder


def test_every_copy_reads_like_an_order_that_was_lived_through(kept: Path) -> None:
    async def look(store: OrderStore) -> None:
        client = store.client("notification")
        for number in range(1, ORDERS):
            order = await client.order(order_id_of(number))
            assert (order.version, status(order)) == (len(LIFE) + 1, "shipped")
            personal = await client.personal(order.id, order.customer_ref)
            assert personal.customer is not None
        assert await store.database.read(find_faults) == []

    anyio.run(with_order_store, Ground(grow(kept, ORDERS)), look)


def test_the_store_is_made_once(kept: Path) -> None:
    file = grow(kept, ORDERS) / FILE
    made = file.stat().st_ino
    assert (grow(kept, ORDERS) / FILE).stat().st_ino == made


@pytest.mark.parametrize(
    "run",
    [partial(growth.measure, orders=ORDERS), partial(recover.start, events=6 * ORDERS)],
    ids=["growth", "recover"],
)
def test_what_is_measured_on_it_works(run: partial[object], kept: Path, tmp_path: Path) -> None:
    task = Round(case="", contender="", operations=20, folder=tmp_path, kept=kept)
    sample = run(task)
    assert sample.errors == 0  # type: ignore[attr-defined]
