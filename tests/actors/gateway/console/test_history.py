"""An order's history: how often each event was tried, and long ones a part at a time."""

from pathlib import Path

import msgspec
import pytest

from actors.domain.events import encode_body, encode_message
from actors.gateway.console import order as console_order
from actors.gateway.console.order import Page
from actors.gateway.pages import order as order_page
from actors.parties import Parties
from runtime.message import Message
from runtime.node import NodeStatus
from tests.harness.operator_pages import browser_at
from tests.harness.parties import WilfulProvider
from tests.harness.system import ADDRESS, OTHER_ADDRESS, live_system
from tests.harness.waiting import eventually


async def test_attempts_and_duplicates_are_told_with_each_event(tmp_path: Path) -> None:
    provider: list[WilfulProvider] = []

    def wilful(parties: Parties) -> Parties:
        assert parties.provider is not None
        provider.append(WilfulProvider(parties.provider))
        provider[0].unreachable["authorise"] = 1
        return msgspec.structs.replace(parties, provider=provider[0])

    async with live_system(tmp_path, wrap=wilful) as system:
        order = await system.place()
        await order.wait_for("shipping-prepared")
        await system.quiet()
        created = (await system.events(order.id))[0]
        copy = Message(
            message_id=created.id,
            type=str(created.type.message_type),
            body=encode_message(order.id, created.version, encode_body(created.body)),
            correlation_id=order.id,
            app_id="tests",
            timestamp=created.recorded_at_ms // 1000,
        )
        messaging = system.running.system.messaging
        assert messaging is not None
        for _ in range(2):
            await messaging.relay_publisher.publish("", "payment", copy)
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())

        async def counted() -> bool:
            page = await browser.get(f"/ops/orders/{order.id}")
            return "payment: done (2 attempts, 2 duplicates discarded)" in page.text

        await eventually(counted)
        rows = (await browser.get(f"/ops/orders/{order.id}?view=raw")).root.one(id="live-history")
        first, second, *_ = rows.all("tr")[1:]
        assert "payment: done (2 attempts, 2 duplicates discarded) notification: done" in first.text
        assert "notification: done (" not in first.text, "what came once and was done is not told"
        assert "Not published" in second.text
    async with live_system(tmp_path) as system:
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())
        page = await browser.get(f"/ops/orders/{order.id}")
        assert "payment: done (2 attempts, 2 duplicates discarded)" in page.text, "it is kept"


async def test_a_long_history_is_shown_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_page, "EVENTS_MAX", 15)
    monkeypatch.setattr(console_order, "EVENTS_MAX", 15)
    monkeypatch.setattr(console_order, "PAGE", 10)
    async with live_system(tmp_path, payment={"hold_s": 600.0}) as system:
        order = await system.place()
        for number in range(23):
            address = (ADDRESS, OTHER_ADDRESS)[number % 2]
            assert (await order.send_to({**address, "line2": f"{number}"})).status_code == 200
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())
        path = f"/ops/orders/{order.id}"

        async def versions(query: str) -> list[int]:
            page = await browser.get(f"{path}?view=raw{query}")
            rows = page.root.one(id="live-history").all("tr")[1:]
            return [int(row.text.split()[0]) for row in rows]

        assert await versions("") == [*range(15, 25)]
        assert await versions("&upto=14") == [*range(5, 15)], "out of the store"
        assert await versions("&upto=10") == [*range(1, 11)]
        for odd in ("3", "0"):
            assert len(await versions(f"&upto={odd}")) == 10
        assert await versions("&upto=99") == await versions("&upto=x") == [*range(15, 25)]
        assert await versions("&at=5") == [*range(1, 6)]
        page = await browser.get(f"{path}?view=raw&upto=14")
        assert "History, versions 5 to 14 of 24" in page.text
        assert "payment: held back until its time" in (await browser.get(f"{path}?upto=10")).text


def test_the_four_places_of_a_history_never_move() -> None:
    assert Page.ending(100, "").places == {}
    page = Page.ending(250, "")
    assert (page.after, page.upto, page.places) == (
        *(150, 250),
        {"First": 100, "Earlier": 150, "Later": 0, "Last": 0},
    )
    page = Page.ending(250, "150")
    assert (page.after, page.places) == (
        50,
        {"First": 100, "Earlier": 100, "Later": 0, "Last": 0},
    )
    assert Page.ending(450, "150").places["Later"] == 250
    assert Page.ending(250, "7").upto == 100


async def test_who_waits_for_a_restart_is_told_with_the_time_by_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"restarts_max": 1, "backoff_s_max": 1e6}
    async with live_system(tmp_path, runtime=limits) as system:
        ready = await system.call("GET", "/readyz")
        assert (ready.status_code, ready.json()["checks"]["actors"]) == (200, "ok")

        def broken() -> None:
            raise RuntimeError("out of order")

        monkeypatch.setattr(system.running.system.sampler, "take", broken)
        system.running.system.supervisor.restart(["sampler"])

        async def waits() -> bool:
            said = (await system.call("GET", "/readyz")).json()["checks"]["actors"]
            return said.startswith("sampler is restarting in ") and said.endswith(" s")

        await eventually(waits)
        assert (await system.call("GET", "/readyz")).status_code == 503
        told = await system.call("GET", "/v1/admin/topology", token="operator")
        (tree,) = msgspec.convert(told.json()["supervision"], list[NodeStatus])
        (node,) = [child for child in tree.children if child.name == "sampler"]
        assert 0 < (node.restarts_in_s or 0) <= 1e6
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())
        for path in ("/ops", "/ops/topology", "/ops/actors/ordermill/sampler"):
            assert "restarting in" in (await browser.get(path)).text, path
