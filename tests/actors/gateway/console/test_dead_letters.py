"""Parked messages on the console: found, looked at, given back and thrown away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace as changed
from pathlib import Path

import msgspec

from actors.dead_letters import SLICE
from actors.parties import Parties
from tests.harness.browser_client import BrowserClient, Page
from tests.harness.operator_pages import browser_at
from tests.harness.parties import WilfulProvider
from tests.harness.system import LiveSystem, live_system
from tests.harness.waiting import eventually


@asynccontextmanager
async def console(folder: Path) -> AsyncIterator[tuple[LiveSystem, BrowserClient]]:
    """Run a system that parks a message at its first failure, and log in at its console."""
    async with live_system(folder, retry={"attempts_max": 1}) as system:
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())
        yield system, browser


async def parked(browser: BrowserClient) -> Page:
    """Return the list once something is on it."""

    async def there() -> Page | None:
        page = await browser.get("/ops/dead-letters")
        return None if "Nothing is parked" in page.text else page

    return await eventually(there)


async def test_a_letter_is_shown_given_back_and_thrown_away(tmp_path: Path) -> None:
    async with console(tmp_path) as (system, browser):
        order = await system.place("pm_card_poison")
        listed = await parked(browser)
        assert "order-created/v1" in listed.text
        letter = await browser.get(listed.link("order-created"))
        assert order.id in letter.text
        assert letter.link("See the order") == f"/ops/orders/{order.id}"

        review = await browser.submit(letter.form("/ops/dead-letters/review"), action="replay")
        assert review.title == "Replay 1 message?"
        assert "came back" not in (await browser.get("/ops/dead-letters")).text, "a dry run"
        form = review.form("/ops/dead-letters/replay")
        for reason in ("", "ask ada@example.org", "x" * 201):
            refused = await browser.submit(form, reason=reason)
            assert (refused.status, refused.title) == (422, "Replay 1 message?")
        assert (await browser.submit(form, reason="the provider is back")).title == "Dead letters"

        async def came_back() -> bool:
            return "came back" in (await browser.get("/ops/dead-letters")).text

        await eventually(came_back)
        listed = await browser.get("/ops/dead-letters?queue=payment&type=order-created")
        ticks = {
            found.attributes["name"]: found.attributes["value"]
            for found in listed.root.all("input", type="checkbox")
        }
        form = listed.form("/ops/dead-letters/review")
        review = await browser.submit(form, action="discard", **ticks)
        done = await browser.submit(review.form("/ops/dead-letters/discard"), reason="a test card")
        assert "1 discarded" in done.text
        assert "Nothing is parked" in done.text


async def test_all_that_match_are_reviewed_together_and_an_empty_choice_is_refused(
    tmp_path: Path,
) -> None:
    async with console(tmp_path) as (system, browser):
        for _ in range(3):
            await system.place("pm_card_poison")

        async def all_there() -> Page | None:
            page = await browser.get("/ops/dead-letters")
            return page if "3 parked" in page.text else None

        listed = await eventually(all_there)
        everything = listed.root.one("form", class_="all")
        fields = {
            found.attributes["name"]: found.attributes.get("value", "")
            for found in everything.all("input")
        }
        form = changed(listed.form("/ops/dead-letters/review"), fields=fields)
        assert (await browser.submit(form, action="discard")).title == "Discard 3 messages?"
        form = changed(form, fields={"csrf": fields["csrf"]})
        assert (await browser.submit(form, action="discard")).status == 422


async def test_what_stands_in_a_message_is_text_and_nothing_else(tmp_path: Path) -> None:
    async with console(tmp_path) as (_, browser):
        evil = "<script>alert(1)</script>"
        page = await browser.get(f"/ops/dead-letters?type={evil.replace('<', '%3C')}")
        assert evil not in page.response.body.decode()
        assert (await browser.get("/ops/dead-letters/payment/evt_none")).status == 404
        assert (await browser.get("/ops/dead-letters/nowhere/evt_none")).status == 404
        assert (await browser.get("/ops/dead-letters?queue=nowhere")).status == 404


async def test_an_order_that_is_stuck_is_found_in_two_clicks_and_finishes(tmp_path: Path) -> None:
    provider: list[WilfulProvider] = []

    def wilful(parties: Parties) -> Parties:
        assert parties.provider is not None
        provider.append(WilfulProvider(parties.provider))
        return msgspec.structs.replace(parties, provider=provider[0])

    async with live_system(tmp_path, wrap=wilful, retry={"attempts_max": 2}) as system:
        provider[0].unreachable["authorise"] = 10**6
        order = await system.place()
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())

        async def problem() -> Page | None:
            page = await browser.get("/ops")
            return page if "payment has parked order-created" in page.text else None

        overview = await eventually(problem)
        letter = await browser.get(overview.link(": payment has parked order-created"))
        assert "exhausted" in letter.text
        assert "Unavailable" in letter.text
        shown = await browser.get(letter.link("See the order"))
        assert order.id in shown.path
        assert "holds the payment lock since v2" in shown.text
        assert "payment: parked" in shown.text

        provider[0].unreachable["authorise"] = 0
        review = await browser.submit(letter.form("/ops/dead-letters/review"), action="replay")
        form = review.form("/ops/dead-letters/replay")
        assert "1 replayed" in (await browser.submit(form, reason="it answers again")).text
        await order.wait_for("shipping-prepared")

        async def at_rest() -> bool:
            page = await browser.get(shown.path)
            return "No service of ours has failed or is late with it" in page.text

        await eventually(at_rest)


async def test_many_go_on_by_themselves_and_can_be_looked_at_and_stopped(tmp_path: Path) -> None:
    async with console(tmp_path) as (system, browser):
        for _ in range(SLICE + 1):
            await system.place("pm_card_poison")

        async def all_parked() -> Page | None:
            page = await browser.get("/ops/dead-letters")
            return page if f"{SLICE + 1} parked" in page.text else None

        listed = await eventually(all_parked)
        assert "Nothing was begun" in (await browser.get("/ops/dead-letters/work")).text
        review = await browser.submit(
            listed.form("/ops/dead-letters/review"), all="1", action="discard"
        )
        form = review.form("/ops/dead-letters/discard")
        assert (await browser.submit(form, reason="not needed")).path == "/ops/dead-letters/work"

        async def done() -> Page | None:
            page = await browser.get("/ops/dead-letters/work")
            return page if "Done" in page.text else None

        page = await eventually(done)
        assert f"Discard in payment Done {SLICE + 1} of {SLICE + 1}" in page.text
        assert "Nothing is parked" in (await browser.get("/ops/dead-letters")).text
        audit = (await browser.get("/ops/audit")).text
        assert f"done after {SLICE + 1} of {SLICE + 1}" in audit
        assert "not needed" in audit


async def test_a_letter_tells_of_each_of_its_attempts(tmp_path: Path) -> None:
    provider: list[WilfulProvider] = []

    def wilful(parties: Parties) -> Parties:
        assert parties.provider is not None
        provider.append(WilfulProvider(parties.provider))
        provider[0].unreachable["authorise"] = 10**6
        return msgspec.structs.replace(parties, provider=provider[0])

    async with live_system(tmp_path, wrap=wilful, retry={"attempts_max": 2}) as system:
        browser = browser_at(system.client)
        await browser.get(system.running.login_path())
        await system.place()
        listed = await parked(browser)
        letter = await browser.get(listed.link("order-created"))
        rows = [row.text for row in letter.root.all("tr")[1:]]
        assert [(row.split()[0], row.split()[-1]) for row in rows] == [
            ("1", "Unavailable"),
            ("2", "Unavailable"),
        ]
