"""The test cards, the mailbox, the pages of problems: where they are, and where they are not."""

from pathlib import Path

import msgspec
import pytest

from actors.apps import shows_mailbox
from actors.domain.cards import TEST_CARDS
from actors.gateway.problem_table import PROBLEMS
from actors.settings import Settings
from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World, gateway_world
from tests.harness.shopping import WHO, Shopper
from tests.harness.waiting import eventually


async def test_every_test_card_is_explained(browser: BrowserClient) -> None:
    page = await browser.get("/help/test-cards")
    rows = page.root.one("tbody").all("tr")
    assert len(rows) == len(TEST_CARDS)
    for row, card in zip(rows, TEST_CARDS, strict=True):
        assert card.token in row.text
        assert "_" not in row.text.replace(card.token, ""), "a code is no explanation"
    by_title = [row.text for row in rows if "Not enough money" in row.text]
    assert len(by_title) == 1
    assert "The payment fails. There is not enough money on the card." in by_title[0]


async def test_what_is_for_trying_out_is_not_there_in_live_mode(tmp_path: Path) -> None:
    async with gateway_world(tmp_path, mode="live", mailbox=False) as world:
        for path in ("/help/test-cards", "/demo/mailbox"):
            assert (await world.browser().get(path)).status == 404
        shop = await world.browser().get("/")
        assert "/demo/mailbox" not in shop.response.body.decode()


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, True),
        ({"http": {"bind": "localhost"}}, True),
        ({"http": {"public_url": "http://localhost:8080"}}, True),
        ({"mode": "live"}, False),
        ({"http": {"bind": "0.0.0.0"}}, False),
        ({"http": {"proxy_hops": 1}}, False),
        ({"http": {"public_url": "https://shop.example"}}, False),
    ],
)
def test_mails_are_shown_to_this_machine_alone(settings: dict[str, object], shown: bool) -> None:

    assert shows_mailbox(msgspec.convert(settings, Settings)) is shown


async def test_the_mailbox_shows_mails_as_text_with_their_link(
    world: World, browser: BrowserClient
) -> None:
    assert "no mails yet" in (await browser.get("/demo/mailbox")).text
    order = await Shopper(browser).order()
    form = (await browser.get("/orders/find")).form("/orders/find")
    await browser.submit(form, number="1001", email=WHO["email"])

    async def shown() -> bool:
        return "link to your order" in (await browser.get("/demo/mailbox")).text

    await eventually(shown)
    page = await browser.get("/demo/mailbox")
    assert f"to {WHO['email']}" in page.text
    opened = await world.browser().get(page.link("See the order"))
    assert opened.title == order.title
    again = await browser.get(order.path)
    assert "The link to your order" in again.root.one("ul", class_="mails").text


async def test_every_problem_has_a_page_in_the_shops_clothes(browser: BrowserClient) -> None:
    for slug, problem in PROBLEMS.items():
        page = await browser.get(f"/problems/{slug}")
        assert page.title == problem.title
        assert problem.todo in page.text
