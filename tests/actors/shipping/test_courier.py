from pathlib import Path

import anyio
import pytest

from actors.domain.order_events import Recorded
from actors.domain.shipments import Shipments
from actors.shipping.courier import LOOK_S_MAX, Courier
from actors.shipping.depot import CARRIER, Depot, open_depot
from runtime.errors import Rejection, Unavailable
from runtime.host import Host, production_host
from runtime.inbox import Claim
from runtime.message import Message
from tests.actors.shipping.parties import parties_in
from tests.harness.orders import LINES, SAMPLES, sample_address, sample_event, sample_order
from tests.harness.running import running
from tests.harness.waiting import until

SHIPPED = Recorded(sample_event(sample_order(), SAMPLES["shipped"]), replayed=False)


class Desk:
    """A `Shipments` that answers what it is told to, in turn (then: shipped)."""

    def __init__(self, *answers: Exception) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self._answers = list(answers)

    async def shipped(
        self, order_id: str, carrier: str, tracking: str, correlation_id: str
    ) -> Recorded:
        self.asked.append((order_id, carrier, tracking, correlation_id))
        if self._answers:
            raise self._answers.pop(0)
        return SHIPPED


async def run_until_reported(
    depot: Depot, desk: Shipments, host: Host, auto_ship_s: float = 0
) -> list[str | None]:
    async with running(Courier(depot, desk, auto_ship_s, host.clock).run):
        return await all_reports(depot)


async def all_reports(depot: Depot) -> list[str | None]:
    with anyio.fail_after(20):
        while True:
            reports = [entry.report for entry in await depot.ledger()]
            if all(reports):
                return reports
            await anyio.sleep(0.01)


async def test_every_parcel_is_reported_once_with_its_own_number(tmp_path: Path) -> None:
    host, desk = production_host(tmp_path), Desk()
    async with open_depot(host) as depot:
        for number in range(150):
            await depot.prepare(f"key-{number}", f"ord_{number}", sample_address(), LINES)
        assert set(await run_until_reported(depot, desk, host)) == {"shipped"}
        assert sorted(desk.asked) == sorted(
            (entry.order_id, CARRIER, entry.tracking, asked[3])
            for entry, asked in zip(await depot.ledger(), desk.asked, strict=True)
        )
        await run_until_reported(depot, desk, host)
        assert len(desk.asked) == 150


async def test_a_parcel_is_reported_only_once_its_handler_has_ended(tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        depot, desk = parties.depot, Desk()
        courier = Courier(depot, desk, 0, parties.shop.host.clock, batch_max=1)
        order_id = await parties.shop.place()
        await parties.shop.capture(order_id)
        message = await parties.shop.message(order_id, "payment-captured")
        packed, may_end = anyio.Event(), anyio.Event()

        async def prepare(message: Message, claim: Claim) -> None:
            await depot.prepare("key-1", order_id, sample_address(), LINES)
            packed.set()
            await may_end.wait()
            raise Unavailable("how it ends makes no difference to the courier")

        async def deliver() -> None:
            with pytest.raises(Unavailable):
                await parties.runs.deliver(message, courier.after(prepare))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver)
            await packed.wait()
            assert await courier._look() == LOOK_S_MAX
            assert desk.asked == []
            await depot.prepare("key-2", "ord_2", sample_address(), LINES)
            async with running(courier.run):
                await until(lambda: len(desk.asked) == 1)
                may_end.set()
                assert await all_reports(depot) == ["shipped", "shipped"]
        assert [asked[0] for asked in desk.asked] == ["ord_2", order_id]


async def test_one_packed_earlier_is_reported_in_its_time(tmp_path: Path) -> None:
    host, desk = production_host(tmp_path), Desk()
    async with open_depot(host) as depot:
        await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        async with running(Courier(depot, desk, 0.02, host.clock).run):
            assert await all_reports(depot) == ["shipped"]
        assert [order_id for order_id, *_ in desk.asked] == ["ord_1"]


async def test_nothing_is_reported_before_its_time(tmp_path: Path) -> None:
    host, desk = production_host(tmp_path), Desk()
    async with open_depot(host) as depot:
        await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        courier = Courier(depot, desk, 3600, host.clock)
        async with running(courier.run):
            await depot.prepare("key-2", "ord_2", sample_address(), LINES)
            pause_s = await courier._look()
        assert 0 < pause_s <= 30
        assert desk.asked == []


async def test_who_is_not_ready_or_not_there_is_asked_again_the_same(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    desk = Desk(Rejection("not-prepared", "too early"), Unavailable("down"))
    async with open_depot(host) as depot:
        await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        assert await run_until_reported(depot, desk, host) == ["shipped"]
        assert len(desk.asked) == 3
        assert len(set(desk.asked)) == 1
        (entry,) = await depot.ledger()
        assert entry.attempts == 3


async def test_a_refusal_for_good_is_noted(tmp_path: Path) -> None:
    host, desk = production_host(tmp_path), Desk(Rejection("already-shipped", "by a person"))
    async with open_depot(host) as depot:
        await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        assert await run_until_reported(depot, desk, host) == ["already-shipped"]


async def test_a_crash_between_answer_and_note_asks_the_same_again(tmp_path: Path) -> None:
    host, desk = production_host(tmp_path), Desk()
    async with open_depot(host) as depot:
        await depot.prepare("key-1", "ord_1", sample_address(), LINES)
        (entry,) = (await depot.agenda(0, 10)).due
        await Courier(depot, desk, 0, host.clock)._report(entry, [])
    async with open_depot(host) as depot:
        assert await run_until_reported(depot, desk, host) == ["shipped"]
        assert len(desk.asked) == 2
        assert len(set(desk.asked)) == 1
