"""Orders on the console: found by whatever one has, seen in every way, at every version."""

from pathlib import Path

import pytest

from tests.harness.operator_pages import browser_at
from tests.harness.system import live_system


async def test_an_order_is_found_by_all_that_names_it_and_shown_as_it_was(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        order = await system.place()
        captured = await order.wait_for("payment-captured")
        await order.wait_for("shipping-prepared")
        shipped = await order.ship()
        await system.place(customer={"name": "Bob", "email": "bob@example.org"})
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())

        shown = await browser.get(f"/ops/orders?q={order.id}")
        number = shown.title.split()[1]
        asked = shipped.headers["request-id"]
        for text in (number, captured.id, captured.order_correlation, asked):
            assert (await browser.get(f"/ops/orders?q={text}")).path == f"/ops/orders/{order.id}"
        listed = await browser.get("/ops/orders?q=ada%40example.org")
        assert "1 order, newest first" in listed.text
        everybody = await browser.get("/ops/orders?placed=3600&status=shipped")
        assert "1 order, newest first" in everybody.text
        assert "shipped" in everybody.root.one("td", data_name="Last event").text
        assert "2 orders" in (await browser.get("/ops/orders?placed=86400")).text
        assert "No order is like that" in (await browser.get("/ops/orders?q=ord_none")).text
        waiting = await browser.get("/ops/orders?idle=60")
        assert "No order is like that" in waiting.text

        assert "As it is, at version 6" in shown.text
        earlier = await browser.get(f"/ops/orders/{order.id}?at={captured.version}&view=raw")
        assert f"As it was at version {captured.version} of 6" in earlier.text
        assert captured.id in earlier.text
        assert "shipping-prepared" not in earlier.text
        for view in ("story", "lanes", "raw"):
            page = await browser.get(f"/ops/orders/{order.id}?view={view}")
            assert "shipping-prepared" in page.text, view
        told = [found.text for found in shown.root.one(id="live-history").all("h3")]
        assert told == ["Order", "Payment", "Shipping", "E-mails"]
        assert "We received your order" in shown.root.one(id="live-history").text
        for view in ("story", "raw"):
            lists = [
                (await browser.get(f"/ops/orders/{order.id}?view={view}{query}")).root.one(
                    id="live-history"
                )
                for query in ("", "&order=newest")
            ]
            began = [rows.text.index("payment-auth-in-progress") for rows in lists]
            ended = [rows.text.index("payment-captured") for rows in lists]
            assert (began[0] < ended[0], began[1] > ended[1]) == (True, True), view
        newest = await browser.get(f"/ops/orders/{order.id}?order=newest")
        assert newest.link("Raw") == "?view=raw&order=newest#history", "kept in all views"
        assert newest.link("Oldest first") == "?view=story#history"
        assert (await browser.get(f"/ops/orders/{order.id}?at=99")).title == shown.title
        assert (await browser.get("/ops/orders/ord_none")).status == 404
        nobody = f"/ops/orders/ord_{'0' * 26}"
        assert (await browser.get(nobody)).status == 404


@pytest.mark.parametrize("text", ["%27%20OR%201=1", "%25", "<b>", "x" * 400, "9" * 40])
async def test_any_text_is_only_looked_for(tmp_path: Path, text: str) -> None:
    async with live_system(tmp_path) as system:
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())
        page = await browser.get(f"/ops/orders?q={text}&status=none&idle=x")
        assert page.status == 200
        assert "No order is like that" in page.text
        assert "<b>&" not in page.response.body.decode()
