"""Whatever comes to a page, it is answered below 500, and nothing of it is logged as an error."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.gateway.pages.routes import PAGES
from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World, gateway_world
from tests.harness.shopping import WHO, Shopper, order_id_of

SETTINGS = settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(
        [
            *("<script>alert(1)</script>", "{{ 7*7 }}", "\x00", "\u202e", "\u0958" * 130, "%00"),
            *("../../etc/passwd", "ord_" + "0" * 26, "4242424242424242", "-1", "9" * 40, "MUG-1"),
        ]
    ),
)
NAMES = st.sampled_from(
    [
        *WHO,
        *("line2", "region", "token", "number", "expiry", "cvc", "total", "currency", "cart"),
        *("add", "put", "quantity", "version", "key", "reason", "csrf", "unknown"),
    ]
)
FIELDS = st.dictionaries(NAMES, TEXTS, max_size=8)


@dataclass
class Scene:
    """A shopper with an order and a full cart, and a form that is really his."""

    world: World
    browser: BrowserClient
    order_id: str
    fields: dict[str, str]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with gateway_world(tmp_path) as world:
        browser = world.browser()
        order = await Shopper(browser).order()
        page, fields = await Shopper(browser).checkout()
        fields = {**page.form("/checkout").fields, **fields, "version": "1"}
        yield Scene(world, browser, order_id_of(order), fields)


FORMS = [page for page in PAGES if page.method == "POST"]
READS = [page for page in PAGES if page.method == "GET" and "stream" not in page.id]


@pytest.mark.parametrize("page", FORMS, ids=lambda page: page.id)
@SETTINGS
@given(changes=FIELDS)
async def test_any_form(scene: Scene, page: object, changes: dict[str, str]) -> None:
    path = page.path.replace("{order_id}", scene.order_id)
    body = urlencode({**scene.fields, **changes}).encode()
    kept = dict(scene.browser.cookies)
    response = await scene.browser.request("POST", path, body)
    assert response.status < 500, (path, changes)
    assert b"<script>alert" not in response.body
    assert scene.world.log == []
    scene.browser.cookies = kept


@SETTINGS
@given(page=st.sampled_from(READS), text=TEXTS, cookie=TEXTS)
async def test_any_address_and_any_cookie(
    scene: Scene, page: object, text: str, cookie: str
) -> None:
    part = quote(text, safe="") or "x"
    path = page.path
    for name in ("{sku}", "{link}", "{order_id}", "{path:name}"):
        path = path.replace(name, part)
    value = quote(cookie, safe="<>{}./")
    for header in (f"visitor={value}; order={value}", value):
        sent = {"accept": "text/html", "cookie": header}
        response = await scene.browser.send("GET", f"{path}?{part}={part}", sent, b"")
        assert response.status < 500, (path, cookie)
        assert b"<script>alert" not in response.body
    assert scene.world.log == []
