"""Figures of queues, from every kind of broker: with RabbitMQ's management API and without it."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.ports import free_port
from tests.harness.operator_pages import browser_at
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.system import LiveSystem, live_system
from tests.harness.waiting import eventually

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def managed(rabbitmq_is_installed: None) -> Iterator[RabbitMQ]:
    """A node with the management API."""
    node = RabbitMQ(management=True)
    try:
        node.start()
        yield node
    finally:
        node.close()


async def told(system: LiveSystem) -> tuple[Rows, Any]:
    """Return what operators are told of each queue, and everything else beside it."""
    answer = await system.call("GET", "/v1/admin/topology", token="operator")
    reply = answer.json()
    return {row["name"]: row for row in reply["queues"]}, reply


async def page_of(system: LiveSystem) -> Any:
    browser = browser_at(system.client)
    await browser.get(system.running.login_path())
    return await browser.get("/ops/topology")


@asynccontextmanager
async def with_a_parked_message(folder: Path, url: str, **broker: Any) -> AsyncIterator[LiveSystem]:
    """A system where one message waits in ``payment.dead``."""
    limits = {"attempts_max": 1, "tiers_s": [1]}
    async with live_system(folder, url, retry=limits, broker={"url": url, **broker}) as system:
        await system.place("pm_card_poison")

        async def parked() -> bool:
            rows, _ = await told(system)
            return rows["payment.dead"]["ready"] == 1

        await eventually(parked)
        yield system


@pytest.mark.rabbitmq
@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
async def test_a_management_api_tells_what_amqp_cannot(
    managed: RabbitMQ, tmp_path: Path, queue_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = {"management_url": managed.management_url, "queue_type": queue_type}
    async with with_a_parked_message(tmp_path, managed.fresh_url(), **settings) as system:

        async def everything() -> bool:
            await system.place()
            rows, reply = await told(system)
            assert reply["missing"] == []
            own, dead = rows["payment"], rows["payment.dead"]
            rates = [own[name] for name in ("in_per_s", "out_per_s", "acked_per_s")]
            seen = (
                reply["alarms"] == []
                and all(rates)
                and own["unacked"] is not None
                and dead["unacked"] == 0
            )
            if queue_type == "quorum":
                return seen and dead["oldest_age_s"] is None
            return seen and 0 < (dead["oldest_age_s"] or 0) < 60

        await eventually(everything)
        managed.evaluate("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}).")
        try:

            async def short() -> bool:
                _, reply = await told(system)
                return reply["alarms"] == [f"memory of {managed.node}"]

            await eventually(short)
            page = await page_of(system)
            assert "short of memory" in page.root.one(id="live-broker").text
        finally:
            managed.evaluate("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).")
        assert "not available" not in page.root.one(id="live-broker").text
        row = next(
            row for row in page.root.one(id="live-queues").all("tr") if "payment.dead" in row.text
        )
        assert row.text.endswith(" –") == (queue_type == "quorum"), row.text  # noqa: RUF001
    logged = "\n".join(system.log) + caplog.text
    assert "/api/queues" not in logged
    assert managed.management_url not in logged


@pytest.mark.rabbitmq
async def test_without_one_the_pages_say_so_and_the_rest_is_there(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    async with with_a_parked_message(tmp_path, rabbitmq.fresh_url()) as system:
        rows, reply = await told(system)
        assert reply["missing"] == ["not available: the management API is not configured"]
        assert reply["alarms"] is None
        assert rows["payment"]["consumers"] == 1
        assert rows["payment.dead"]["oldest_age_s"] is None
        broker = (await page_of(system)).root.one(id="live-broker").text
        assert "Not available: the management API is not configured." in broker
        assert "Alarms of the broker: not available." in broker


@pytest.mark.rabbitmq
async def test_one_that_is_away_is_told_with_the_time_and_orders_go_on(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    url = rabbitmq.fresh_url()
    async with with_a_parked_message(tmp_path, url, management_url=nobody) as system:
        _, reply = await told(system)
        (reason,) = reply["missing"]
        assert reason.startswith("not available: the management API does not answer as it should")
        assert reason.endswith(" UTC (ConnectError)")
        order = await system.place()
        await order.wait_for("shipping-prepared")
        assert "does not answer" in (await page_of(system)).root.one(id="live-broker").text


async def test_the_embedded_broker_tells_ages_and_keeps_them_over_a_restart(
    tmp_path: Path,
) -> None:
    async with with_a_parked_message(tmp_path, "embedded") as system:
        rows, reply = await told(system)
        assert (reply["missing"], reply["alarms"]) == ([], [])
        assert rows["payment"]["oldest_age_s"] is None
        assert rows["payment"]["unacked"] == 0
        made_at_s = (await system.events(await the_order(system)))[0].recorded_at_ms // 1000
        before = rows["payment.dead"]["oldest_age_s"]
        assert before is not None
    async with live_system(tmp_path, "embedded") as system:
        rows, _ = await told(system)
        now_s = system.running.system.supervisor._host.clock.wall()
        assert rows["payment.dead"]["oldest_age_s"] == pytest.approx(now_s - made_at_s, abs=5)
        assert rows["payment.dead"]["oldest_age_s"] >= before
        text = (await page_of(system)).root.one(id="live-queues").text
        assert "payment.dead 1 0 0" in text


async def the_order(system: LiveSystem) -> str:
    """Return the id of the one order that there is."""
    answer = await system.call("GET", "/v1/orders", token="operator")
    (row,) = answer.json()["data"]
    return str(row["id"])
