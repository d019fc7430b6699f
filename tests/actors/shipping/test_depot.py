from pathlib import Path

import pytest

from actors.domain.values import Money
from actors.shipping.depot import FILE, open_depot
from actors.shipping.depot_books import Agenda, Report
from runtime.errors import Unprocessable
from runtime.host import production_host
from tests.harness.orders import LINES, sample_address


async def test_the_same_key_finds_the_same_parcel_after_a_restart_too(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    async with open_depot(host) as depot:
        assert await depot.lookup("key-1") is None
        first = await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        assert await depot.prepare("key-1", "ord_1", sample_address(), LINES) == first
    async with open_depot(host) as depot:
        assert await depot.prepare("key-1", "ord_1", sample_address(), LINES) == first
        assert await depot.lookup("key-1") == first
        assert len(await depot.ledger()) == 1
        second = await depot.prepare("key-2", "ord_2", sample_address(), LINES)
        assert second != first


async def test_a_key_of_another_parcel_is_refused(tmp_path: Path) -> None:
    async with open_depot(production_host(tmp_path)) as depot:
        await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        for order_id, address, items in (
            ("ord_2", sample_address(), LINES),
            ("ord_1", sample_address("elsewhere"), LINES),
            ("ord_1", sample_address(), LINES[:1]),
        ):
            with pytest.raises(Unprocessable) as parked:
                await depot.prepare("key-1", order_id, address, items)
            assert parked.value.reason == "carrier-key-conflict"
        (parcel,) = await depot.ledger()
        assert parcel.items == LINES
        assert parcel.items[0].unit_price == Money(1450, "EUR")


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob(f"{FILE}*")))


async def test_an_erased_address_leaves_the_disk_and_the_parcel_stays(tmp_path: Path) -> None:
    address = sample_address("17 Unmistakable Terrace")
    async with open_depot(production_host(tmp_path)) as depot:
        parcel = await depot.prepare("key-1", "ord_1", address, LINES)
        await depot.prepare("key-2", "ord_2", sample_address(), LINES)
        assert b"Unmistakable" in bytes_of(tmp_path)
        await depot.erase("ord_1")
        erased, kept = await depot.ledger()
        assert (erased.parcel_id, erased.address) == (parcel.parcel_id, None)
        assert kept.address == sample_address()
        assert bytes_of(tmp_path)
        assert b"Unmistakable" not in bytes_of(tmp_path)
        assert await depot.prepare("key-1", "ord_1", address, LINES) == parcel


async def test_reports_are_due_once_and_later_ones_do_not_hide_others(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    async with open_depot(host) as depot:
        assert await depot.agenda(0, 10) == Agenda([], None)
        for number in range(3):
            await depot.prepare(f"key-{number}", f"ord_{number}", sample_address(), LINES)
        now_ms = int(host.clock.wall() * 1000)
        later = await depot.agenda(60_000, 10)
        assert later.due == []
        assert now_ms < (later.next_ms or 0) <= now_ms + 60_000
        first, second, third = (await depot.agenda(0, 10)).due
        note = [Report(first.parcel_id, None, now_ms + 60_000), Report(second.parcel_id, "shipped")]
        await depot.note(note)
        assert await depot.agenda(0, 1) == Agenda([third], now_ms + 60_000)
        await depot.note([Report(third.parcel_id, "already-shipped")])
        assert await depot.agenda(0, 10) == Agenda([], now_ms + 60_000)
        reports = [(entry.report, entry.attempts) for entry in await depot.ledger()]
        assert reports == [(None, 1), ("shipped", 1), ("already-shipped", 1)]


async def test_tracking_numbers_follow_from_the_parcel(tmp_path: Path) -> None:
    async with open_depot(production_host(tmp_path)) as depot:
        await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        await depot.prepare("key-2", "ord_2", sample_address(), LINES)
        first, second = await depot.ledger()
        assert first.tracking != second.tracking
        assert first.tracking.isalnum()
        assert len(first.tracking) == 18
        assert first.tracking == (await depot.ledger())[0].tracking
