"""What the console shows of the outbox, the audit, the settings, the topology and the log."""

from pathlib import Path

import anyio
import httpx
import pytest

from actors.gateway.console.routes import CONSOLE
from runtime.outbox import Relay
from tests.harness.browser_client import BrowserClient
from tests.harness.operator_pages import browser_at, log_in
from tests.harness.system import LiveSystem, live_system
from tests.harness.waiting import eventually


async def let_in(system: LiveSystem) -> BrowserClient:
    browser = browser_at(system.client)
    await browser.get(system.running.login_path())
    return browser


async def test_every_page_is_there_and_a_flush_is_in_the_audit(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        order = await system.place()
        await order.wait_for("shipping-prepared")
        await system.quiet()
        browser = await let_in(system)
        for page in CONSOLE:
            if page.method == "GET" and page.document and "{" not in page.path:
                shown = await browser.get(page.path)
                assert shown.status == 200, page.path
        overview = await browser.get("/ops")
        assert "None." in overview.root.one(id="live-problems").text
        assert "0 in the last hour" in overview.root.one(id="live-tiles").text
        assert "shipping-prepared/v1" in overview.text
        assert "Nobody has done anything yet" in (await browser.get("/ops/audit")).text

        outbox = await browser.get("/ops/outbox")
        assert "Everything is published" in outbox.text
        form = outbox.form("/ops/outbox/flush")
        refused = await browser.submit(form, reason="for ada@example.org")
        assert refused.status == 422
        assert "The relay was woken" in (await browser.submit(form, reason="to see")).text
        audit = await browser.get("/ops/audit")
        assert "outbox-flush" in audit.text
        assert "to see" in audit.text
        assert "ada@example.org" not in audit.text


async def test_the_topology_tells_what_is_where(tmp_path: Path) -> None:
    async with live_system(tmp_path, retry={"attempts_max": 1}) as system:
        order = await system.place("pm_card_poison")
        browser = await let_in(system)

        async def parked() -> bool:
            page = await browser.get("/ops/topology")
            return "ready 0, oldest none, later 0, parked 1" in page.root.one(id="live-places").text

        await eventually(parked)
        page = await browser.get("/ops/topology")
        rows = [row.text for row in page.root.one(id="live-places").all("tr")[1:]]
        assert len(rows) == 12
        assert sum("well" in row for row in rows) == 8
        assert [row.split()[:2] for row in rows if "look here" in row] == [["payment", "queue"]]
        assert "not yet known" in page.text, "it takes two samples to have a rate"
        system.running.system.sampler.take()
        page = await browser.get("/ops/topology")
        rows = [row.text for row in page.root.one(id="live-places").all("tr")]
        assert sum("/s" in row for row in rows) == 8, "writer, outbox, each queue, its consumer"
        trees = page.root.one(id="live-trees")
        assert len(trees.all("ul")) == 1, "one process"
        assert "order-events" in trees.text
        assert "restart" not in trees.text
        assert order.id not in page.text
        pictures = page.root.one(id="live-flow").all("svg")
        leads = [[link.attributes["href"] for link in picture.all("a")] for picture in pictures]
        assert leads[0] == leads[1], "the narrow picture leads where the wide one does"
        assert len(leads[0]) == 9, "everybody but the exchanges"
        assert "/ops/dead-letters?queue=payment" in leads[0]
        for path in leads[0]:
            assert (await browser.get(path)).status == 200, path


async def test_what_is_bound_to_a_queue_is_what_goes_into_it(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        sampler = system.running.system.sampler
        sampler.take()
        order = await system.place()
        await order.wait_for("shipping-prepared")
        await system.quiet()
        sampler.take()
        per_s = sampler.samples().per_s
        into = {name: rate for name, rate in per_s.items() if name.endswith(".routed")}
        assert into.keys() == {"payment.routed", "shipping.routed", "notification.routed"}
        # One order-created and one payment-captured; the mail of the first is the same event.
        assert len(set(into.values())) == 1
        assert into["payment.routed"] > 0
        assert per_s["appended"] > per_s["published"] > into["payment.routed"]


async def test_no_secret_is_on_the_page_of_settings(tmp_path: Path) -> None:
    secret = "not-for-anybody-to-see-0123456789-abcdef"
    async with live_system(tmp_path, security={"viewer_token": secret}) as system:
        browser = browser_at(system.client)
        page = await log_in(browser, secret, "/ops/config")
        assert page.title == "Config"
        assert "security.viewer_token *** set" in page.text
        assert "retry.tiers_s" in page.text
        assert secret not in page.response.body.decode()
        assert not page.root.all("form", action="/ops/outbox/flush")


async def test_the_log_is_paged_both_ways_and_filtered(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        orders = [await system.place() for _ in range(21)]
        for order in orders:
            await order.wait_for("shipping-prepared")
        browser = await let_in(system)

        def positions(text: str) -> list[int]:
            return [int(word) for word in text.split() if word.isdecimal()]

        last = await browser.get("/ops/events")
        first = await browser.get(last.link("First"))
        seen: list[int] = []
        page = first
        for _ in range(3):
            cells = [cell.text for cell in page.root.all("td", data_name="Position")]
            seen += positions(" ".join(cells))
            page = await browser.get(page.link("Later"))
        assert seen == list(range(1, 106))
        back = await browser.get((await browser.get("/ops/events?after=100")).link("Earlier"))
        cells = [cell.text for cell in back.root.all("td", data_name="Position")]
        assert positions(" ".join(cells)) == list(range(1, 101))
        one = await browser.get(f"/ops/events?type=payment-captured&order={orders[3].id}")
        assert len(one.root.all("td", data_name="Position")) == 1
        for query, count in (
            ("app=shipping-service", 42),
            ("app=shipping-service&type=shipping-prepared", 21),
            ("app=shipping-service&type=order-created", 0),
            ("since=2000-01-01T00:00&type=order-created", 21),
            ("since=2999-01-01T00:00", 0),
        ):
            page = await browser.get(f"/ops/events?{query}")
            assert (query, len(page.root.all("td", data_name="Position"))) == (query, count)
        assert "since=2999" in page.link("Earlier"), "the filters stay from page to page"
        assert (await browser.get("/ops/events?since=yesterday")).status == 422
        event = await browser.get(one.root.all("td", data_name="Position")[0].one("a")
                                  .attributes["href"])  # fmt: skip
        assert event.title == "payment-captured/v1"
        assert orders[3].id in event.text
        assert (await browser.get("/ops/events/evt_none")).status == 404
        assert (await browser.get("/ops/events?order=none")).status == 404


async def test_the_log_is_followed_from_where_a_reader_was(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        order = await system.place()
        await order.wait_for("shipping-prepared")
        browser = await let_in(system)
        cookie = browser.cookies["operator", "/ops"].value
        headers = {"cookie": f"operator={cookie}", "last-event-id": "4"}
        followed: list[str] = []

        async def follow(client: httpx.AsyncClient) -> None:
            path = "/ops/events/stream"
            async with client.stream("GET", path, headers=headers) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                async for line in response.aiter_lines():
                    followed.extend([line[4:]] if line.startswith("id: ") else [])
                    if len(followed) == 1:
                        await system.place()
                    if len(followed) == 6:
                        return

        with anyio.fail_after(30):
            async with httpx.AsyncClient(base_url=system.running.url, trust_env=False) as client:
                await follow(client)
        assert followed == [str(position) for position in range(5, 11)]
        assert (await system.client.get("/ops/topology/stream")).status_code == 303
        answer = await system.client.get("/ops/events/stream")
        assert answer.status_code == 303


async def test_an_actor_tells_how_it_is_and_what_waits_in_it(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        browser = await let_in(system)
        topology = await browser.get("/ops/topology")
        writer = await browser.get("/ops/actors/ordermill/order-events/order-events")
        assert topology.link("outbox-relay") == "/ops/actors/ordermill/order-events/outbox-relay"
        assert writer.title == "order-events"
        assert "Mailbox 0 of 1024" in writer.text
        assert "Nothing, since its own supervisor began." in writer.text
        messages = await browser.get(topology.link("messages-payment"))
        assert "rest for one" in messages.text
        lanes = await browser.get(messages.link("lanes-payment"))
        assert "In work 0" in lanes.text
        assert (await browser.get("/ops/actors/ordermill/nobody")).status == 404


async def test_an_actor_tells_what_it_died_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_system(tmp_path) as system:
        browser = await let_in(system)
        look = Relay._round
        planted = [KeyError("for ada@example.org")]

        async def stumble(relay: Relay) -> float:
            if planted:
                raise planted.pop()
            return await look(relay)

        monkeypatch.setattr(Relay, "_round", stumble)
        order = await system.place()
        await order.wait_for("shipping-prepared")
        page = await browser.get("/ops/actors/ordermill/order-events/outbox-relay")
        assert "1 restart" in page.text
        assert "failed KeyError: 'for [e-mail]'" in page.text
        assert "runtime/outbox.py:" in page.text
        assert "last error: KeyError" in (await browser.get("/ops/topology")).text


async def test_the_outbox_is_drawn_as_it_was_sampled(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        browser = await let_in(system)
        page = await browser.get("/ops/outbox")
        assert "Nothing was pending at any look." in page.text
        assert "Messages in the outbox" in page.response.body.decode()
        assert "Nothing was pending at any look." in (await browser.get("/ops")).text
