"""Who gets into the console, for how long, and what a viewer may do."""

import pytest

from actors.gateway.console.routes import CONSOLE
from actors.gateway.console.session import SESSION_S, console_path
from actors.gateway.pages.routes import Page
from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import OPERATOR, VIEWER, World

OPERATOR_TOKEN = OPERATOR["Authorization"].split()[1]
VIEWER_TOKEN = VIEWER["Authorization"].split()[1]
PLACES = {"queue": "payment", "message_id": "evt_1", "event_id": "evt_1", "order_id": "ord_1"}


def path_of(template: str) -> str:
    """Fill a route's template in."""
    path = template.replace("path:", "").replace("{action}", "replay")
    for name, text in PLACES.items():
        path = path.replace(f"{{{name}}}", text)
    return path


async def log_in(browser: BrowserClient, token: str, path: str = "/ops") -> None:
    form = (await browser.get(path)).form("/ops/login")
    await browser.submit(form, token=token)


async def test_a_link_lets_in_once(world: World, browser: BrowserClient) -> None:
    path = world.links.make()
    response = await browser.request("GET", path)
    assert (response.status, response.header("location")) == (303, "/ops")
    kept = [text for text in browser.set_cookies if text.startswith("operator=")]
    assert all(flag in kept[0] for flag in ("HttpOnly", "SameSite=Strict", "Path=/ops"))
    assert (await browser.get("/ops")).title == "Overview"

    other = world.browser()
    again = await other.get(path)
    assert (again.status, again.title) == (401, "Log in")
    assert (await other.get("/ops")).title == "Log in"
    assert path.partition("t=")[2] not in "".join(world.log)


async def test_a_link_is_good_for_ten_minutes(world: World, browser: BrowserClient) -> None:
    early, late = world.links.make(), world.links.make()
    world.clock.now_s += 599
    assert (await browser.request("GET", early)).status == 303
    world.clock.now_s += 1
    assert (await browser.request("GET", late)).status == 401


async def test_who_only_looks_at_a_link_does_not_use_it_up(
    world: World, browser: BrowserClient
) -> None:
    path = world.links.make()
    assert (await browser.request("HEAD", path)).status == 200
    assert (await browser.request("GET", path)).status == 303


async def test_a_token_lets_in_and_leads_to_where_one_wanted_to_go(browser: BrowserClient) -> None:
    page = await browser.get("/ops/events?type=shipped")
    assert page.title == "Log in"
    page = await browser.submit(page.form("/ops/login"), token=OPERATOR_TOKEN)
    assert (page.title, page.path) == ("Events", "/ops/events?type=shipped")


@pytest.mark.parametrize("token", ["", "not-a-token", OPERATOR_TOKEN[:-1], "é" * 30])
async def test_another_token_does_not(browser: BrowserClient, token: str) -> None:
    form = (await browser.get("/ops")).form("/ops/login")
    page = await browser.submit(form, token=token)
    assert (page.status, page.title) == (401, "Log in")
    assert token == "" or token not in page.response.body.decode()
    assert (await browser.get("/ops")).title == "Log in"


async def test_a_session_ends_by_itself_and_by_logging_out(
    world: World, browser: BrowserClient
) -> None:
    await log_in(browser, OPERATOR_TOKEN)
    page = await browser.get("/ops")
    assert page.title == "Overview"
    world.clock.now_s += SESSION_S + 1
    assert (await browser.get("/ops")).title == "Log in"

    await log_in(browser, OPERATOR_TOKEN)
    page = await browser.get("/ops")
    assert (await browser.submit(page.form("/ops/logout"))).title == "Log in"
    assert (await browser.get("/ops")).title == "Log in"


async def test_a_session_that_was_tampered_with_is_none(browser: BrowserClient) -> None:
    await log_in(browser, VIEWER_TOKEN)
    key = ("operator", "/ops")
    value = browser.cookies[key].value
    body, _, tag = value.partition(".")
    assert "viewer" not in body, "the next line would change nothing"
    for forged in (f"{body[:-1]}A.{tag}", f"{body}.{tag[:-1]}A", body, ""):
        browser.cookies[key].value = forged
        assert (await browser.get("/ops")).title == "Log in"


@pytest.mark.parametrize("page", CONSOLE, ids=lambda page: page.id)
async def test_no_page_is_shown_and_nothing_is_done_without_a_session(
    page: Page, browser: BrowserClient
) -> None:
    if page.path in ("/ops/login", "/ops/logout"):
        return
    response = await browser.request(page.method, path_of(page.path))
    assert response.status == 303
    assert response.header("location").partition("?")[0] == "/ops/login"


async def test_a_viewer_sees_everything_and_is_refused_everything_else(
    browser: BrowserClient,
) -> None:
    await log_in(browser, VIEWER_TOKEN)
    shown = await browser.get("/ops")
    csrf = shown.form("/ops/logout").fields["csrf"]
    for page in CONSOLE:
        path = path_of(page.path)
        if page.method == "POST" and page.id not in ("ops_log_in", "ops_log_out"):
            body = f"csrf={csrf}&reason=why&letters=[]".encode()
            assert (await browser.request("POST", path, body)).status == 403, path


async def test_a_form_of_another_site_is_refused(browser: BrowserClient) -> None:
    await log_in(browser, OPERATOR_TOKEN)
    csrf = (await browser.get("/ops")).form("/ops/logout").fields["csrf"]
    path = "/ops/dead-letters/review"
    assert (await browser.request("POST", path, b"action=replay&all=1")).status == 403
    body = f"csrf={csrf}&action=replay&all=1".encode()
    refused = await browser.request("POST", path, body, sec_fetch_site="cross-site")
    assert refused.status == 403
    assert (await browser.request("POST", path, body)).status != 403


@pytest.mark.parametrize(
    "text",
    ["", "//evil.example", "https://evil.example", "/ops/login?t=x", "/opsx", "/ops/\\evil", "/"],
)
def test_only_the_consoles_own_pages_are_gone_to(text: str) -> None:
    assert console_path(text) == "/ops"
