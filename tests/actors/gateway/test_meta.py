"""Health, metrics, products, test cards, problem pages, and the headers on all of them."""

from functools import partial
from pathlib import Path

import pytest

from actors.domain.cards import TEST_CARDS
from actors.gateway.catalogue import built_in_catalogue
from actors.gateway.front import SECURITY_HEADERS
from actors.gateway.problem_table import PROBLEMS
from tests.harness.gateway import World, gateway_world


async def test_products_may_be_cached_for_a_minute(world: World) -> None:
    answer = await world.call("GET", "/v1/products")
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    products = answer.json["data"]
    assert len(products) == 8
    one = await world.call("GET", "/v1/products/MUG-1")
    assert one.json == products[0]
    for path, tag in (("", answer.headers["ETag"]), ("/MUG-1", one.headers["ETag"])):
        known = {"If-None-Match": tag}
        again = await world.call("GET", f"/v1/products{path}", headers=known)
        assert (again.status, again.body) == (304, b"")


async def test_test_cards_are_listed_in_test_mode_only(tmp_path: Path) -> None:
    async with gateway_world(tmp_path / "test") as world:
        cards = (await world.call("GET", "/v1/test-cards")).json["data"]
        assert [card["token"] for card in cards] == [card.token for card in TEST_CARDS]
        assert cards[0]["number"] == "4242424242424242"
    async with gateway_world(tmp_path / "live", mode="live") as world:
        answer = await world.call("GET", "/v1/test-cards")
        assert (answer.status, answer.slug) == (404, "not-found")


async def test_readiness_is_what_every_check_says(tmp_path: Path) -> None:
    said = {"store": "ok", "broker": "ok"}
    checks = {name: partial(said.__getitem__, name) for name in said}
    async with gateway_world(tmp_path, checks=checks) as world:
        ready = await world.call("GET", "/readyz")
        assert (ready.status, ready.json) == (200, {"checks": said})
        said["broker"] = "reconnecting 12s"
        late = await world.call("GET", "/readyz")
        assert (late.status, late.json) == (503, {"checks": said})
        assert (await world.call("GET", "/healthz")).json == {"status": "ok"}


async def test_requests_are_counted_by_route_never_by_path(world: World) -> None:
    placed = await world.place()
    await world.call("GET", placed.path, headers=placed.auth)
    await world.call("BREW", "/v1/orders/4242424242424242")
    await world.call("GET", "/nowhere/4242424242424242")
    text = (await world.call("GET", "/metrics")).body.decode()
    for line in (
        'http_requests_total{method="POST",route="/v1/orders",status="201"} 1.0',
        'http_requests_total{method="GET",route="/v1/orders/{order_id}",status="200"} 1.0',
        'http_requests_total{method="other",route="unmatched",status="405"} 1.0',
        'http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'http_request_duration_seconds_count{method="POST",route="/v1/orders"} 1.0',
    ):
        assert f"ordermill_{line}" in text
    assert placed.id not in text
    assert "4242" not in text


@pytest.mark.parametrize("path", ["/v1/products", "/nowhere", "/healthz", "/openapi.json"])
async def test_security_headers_are_on_every_reply(world: World, path: str) -> None:
    answer = await world.call("GET", path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["Request-Id"]
    assert "Set-Cookie" not in answer.headers
    assert "Server" not in answer.headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-123", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("a b", False),
        ("é", False),
        ("", False),
        ("4242424242424242", False),
    ],
)
async def test_a_request_id_is_taken_over_where_it_is_harmless(
    world: World, given: str, kept: bool
) -> None:
    answer = await world.call("GET", "/healthz", headers={"Request-Id": given})
    assert (answer.headers["Request-Id"] == given) is kept
    assert kept or answer.headers["Request-Id"].startswith("req_")


@pytest.mark.parametrize("slug", PROBLEMS)
async def test_every_problem_has_a_page(world: World, slug: str) -> None:
    row = PROBLEMS[slug]
    as_json = await world.call("GET", f"/problems/{slug}")
    assert as_json.json["meaning"] == row.meaning
    assert as_json.json["retry"] is row.retry
    page = await world.call("GET", f"/problems/{slug}", headers={"Accept": "text/html,*/*;q=0.1"})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<!doctype html>" in page.body.decode()


def test_the_catalogue_is_in_one_currency_with_prices() -> None:
    prices = [product["price"] for product in _products()]
    assert {price["currency"] for price in prices} == {"EUR"}
    assert min(price["amount"] for price in prices) > 0


def _products() -> list[dict[str, dict[str, object]]]:
    import msgspec

    return msgspec.json.decode(built_in_catalogue().all.body)["data"]
