"""Placing and changing orders over HTTP: statuses, headers, bodies, refusals."""

from pathlib import Path

import pytest

from actors.gateway.context import Limits
from tests.harness.gateway import (
    ADDRESS,
    CARD,
    OPERATOR,
    ORDER,
    PAID,
    PREPARED,
    VIEWER,
    World,
    gateway_world,
)

NEW_CARD = {"card": {**CARD, "number": "4000000000000002"}}


async def test_a_new_order_is_answered_with_all_a_customer_may_know(world: World) -> None:
    placed = await world.place()
    answer, reply = placed.answer, placed.reply
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/orders/{reply['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Request-Id"].startswith("req_")
    assert "Idempotent-Replayed" not in answer.headers
    token, id_ = reply.pop("access_token"), reply.pop("id")
    assert token.startswith("edit.")
    assert id_.startswith("ord_")
    assert reply == {
        "number": 1001,
        "version": 1,
        "status": "placed",
        "payment": {
            "status": "none",
            "method": {"brand": "visa", "last4": "4242"},
            "failure": None,
        },
        "shipping": {
            "status": "not_started",
            "address": {**ADDRESS, "line2": None, "region": None},
        },
        "items": [
            {
                "sku": "MUG-1",
                "name": "Mug",
                "quantity": 2,
                "unit_price": {"amount": 1450, "currency": "EUR"},
            },
            {
                "sku": "TEA-1",
                "name": "Assam tea, 250 g",
                "quantity": 1,
                "unit_price": {"amount": 1990, "currency": "EUR"},
            },
        ],
        "total": {"amount": 4890, "currency": "EUR"},
        "email": "a***@example.org",
        "allowed_actions": {
            "update_payment": {"allowed": True},
            "update_shipping_address": {"allowed": True},
            "cancel": {"allowed": True},
        },
        "links": {
            "self": f"/v1/orders/{id_}",
            "events": f"/v1/orders/{id_}/events",
            "stream": f"/v1/orders/{id_}/events/stream",
        },
        "created_at": "2026-09-21T14:13:20.000Z",
        "updated_at": "2026-09-21T14:13:20.000Z",
    }


@pytest.mark.parametrize(
    ("changes", "slug", "pointer"),
    [
        ({"items": [{"sku": "NO-1", "quantity": 1}]}, "unknown-product", "#/items/0/sku"),
        ({"items": []}, "validation-failed", "#/items"),
        (
            {"items": [{"sku": "MUG-1", "quantity": 1}, {"sku": "MUG-1", "quantity": 2}]},
            "validation-failed",
            "#/items",
        ),
        ({"items": [{"sku": "MUG-1", "quantity": 0}]}, "validation-failed", "#/items/0/quantity"),
        (
            {"expected_total": {"amount": 4891, "currency": "EUR"}},
            "validation-failed",
            "#/expected_total",
        ),
        ({"customer": {"name": "A", "email": "a@b.c, d@e.f"}}, "validation-failed", None),
        (
            {"payment": {"card": {**CARD, "number": "4242424242424241"}}},
            "payment-method-invalid",
            "#/payment/card/number",
        ),
        (
            {"payment": {"card": {**CARD, "number": "5555555555554444"}}},
            "payment-method-invalid",
            "#/payment/card/number",
        ),
        (
            {"payment": {"card": {**CARD, "exp_year": 2026, "exp_month": 8}}},
            "payment-method-invalid",
            "#/payment/card/exp_month",
        ),
        ({"payment": {"token": "pm_nope"}}, "payment-method-invalid", "#/payment/token"),
        ({"payment": {}}, "validation-failed", "#/payment/card"),
        ({"payment": {"card": CARD, "token": "pm_card_visa"}}, "validation-failed", None),
        ({"surprise": 1}, "validation-failed", "#"),
    ],
)
async def test_an_order_that_is_not_valid_is_refused_by_field(
    world: World, changes: dict[str, object], slug: str, pointer: str | None
) -> None:
    answer = await world.call("POST", "/v1/orders", {**ORDER, **changes})
    assert (answer.status, answer.slug) == (422, slug)
    assert pointer in (None, answer.json["errors"][0]["pointer"])
    assert (await world.call("GET", "/v1/orders", headers=OPERATOR)).json["data"] == []


async def test_the_card_of_this_month_still_pays(world: World) -> None:
    await world.place(payment={"card": {**CARD, "exp_year": 2026, "exp_month": 9}})


async def test_a_refused_card_is_told_where_the_right_ones_are(world: World) -> None:
    body = {**ORDER, "payment": {"token": "pm_nope"}}
    answer = await world.call("POST", "/v1/orders", body)
    assert "/v1/test-cards" in answer.json["detail"]


async def test_the_expected_total_is_accepted_where_it_is_right(world: World) -> None:
    await world.place(expected_total={"amount": 4890, "currency": "EUR"})


async def test_a_payment_change_shows_the_new_card(world: World) -> None:
    placed = await world.place()
    answer = await world.call("PUT", f"{placed.path}/payment", NEW_CARD, placed.auth)
    assert answer.status == 200
    assert answer.headers["ETag"] == '"2"'
    assert answer.json["payment"]["method"] == {"brand": "visa", "last4": "0002"}
    assert "access_token" not in answer.json


async def test_an_address_change_shows_the_new_address(world: World) -> None:
    placed = await world.place()
    address = {**ADDRESS, "line1": "1 Other Street"}
    answer = await world.call("PUT", f"{placed.path}/shipping-address", address, placed.auth)
    assert answer.status == 200
    assert answer.json["shipping"]["address"]["line1"] == "1 Other Street"
    again = await world.call("GET", placed.path, headers=placed.auth)
    assert again.json == answer.json


async def test_a_cancelled_order_says_so_and_allows_nothing(world: World) -> None:
    placed = await world.place()
    answer = await world.call("POST", f"{placed.path}/cancellation", {"reason": "x"}, placed.auth)
    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    actions = answer.json["allowed_actions"]
    assert [actions[name]["allowed"] for name in actions] == [False] * 3
    assert actions["cancel"]["reason"] == "order-already-cancelled"
    assert actions["cancel"]["since"].startswith("evt_")


async def test_a_cancellation_needs_no_body(world: World) -> None:
    placed = await world.place()
    answer = await world.call("POST", f"{placed.path}/cancellation", headers=placed.auth)
    assert answer.status == 200


async def test_the_operator_cancels_in_his_own_name(world: World) -> None:
    placed = await world.place()
    assert (await world.call("POST", f"{placed.path}/cancellation", headers=OPERATOR)).status == 200
    events = await world.call("GET", f"{placed.path}/events", headers=OPERATOR)
    assert events.json["data"][1]["data"] == {"by": "operator"}


@pytest.mark.parametrize(
    ("happened", "method", "path", "body", "slug"),
    [
        (PAID[:1], "PUT", "payment", NEW_CARD, "payment-locked"),
        (PREPARED[:3], "PUT", "shipping-address", ADDRESS, "shipping-locked"),
        (PREPARED[:3], "POST", "cancellation", {}, "cancellation-locked"),
    ],
)
async def test_a_locked_order_names_the_event_that_locks_it(
    world: World, happened: tuple[str, ...], method: str, path: str, body: object, slug: str
) -> None:
    placed = await world.place()
    await world.advance(placed.id, *happened)
    answer = await world.call(method, f"{placed.path}/{path}", body, placed.auth)
    assert (answer.status, answer.slug) == (409, slug)
    problem = answer.json
    assert problem["blocking_event"]["type"] == happened[-1]
    assert problem["blocking_event"]["version"] == len(happened) + 1
    assert problem["blocking_event"]["time"] == "2026-09-21T14:13:20.000Z"
    assert problem["instance"] == f"{placed.path}/{path}"
    assert problem["request_id"] == answer.headers["Request-Id"]
    assert problem["order_status"] in ("payment_pending", "preparing")
    assert problem["allowed_actions"]["update_payment"]["allowed"] is False
    assert "version" in problem["detail"]


async def test_a_second_cancel_and_a_late_change_are_refused(world: World) -> None:
    placed = await world.place()
    await world.call("POST", f"{placed.path}/cancellation", headers=placed.auth)
    again = await world.call("POST", f"{placed.path}/cancellation", headers=placed.auth)
    assert (again.status, again.slug) == (409, "order-already-cancelled")
    late = await world.call("PUT", f"{placed.path}/payment", NEW_CARD, placed.auth)
    assert (late.status, late.slug) == (409, "order-cancelled")


SHIP = {"carrier": "DHL", "tracking": "JJD000390007"}


async def test_a_shipment_is_forwarded_and_repeated_without_effect(world: World) -> None:
    placed = await world.place()
    await world.advance(placed.id, *PREPARED)
    answer = await world.call("POST", f"{placed.path}/shipment", SHIP, OPERATOR)
    assert (answer.status, answer.json["status"]) == (200, "shipped")
    assert answer.json["shipping"]["tracking"] == "JJD000390007"
    again = await world.call("POST", f"{placed.path}/shipment", SHIP, OPERATOR)
    assert (again.status, again.body) == (200, answer.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await world.call("POST", f"{placed.path}/shipment", {**SHIP, "tracking": "X"}, OPERATOR)
    assert (other.status, other.slug) == (409, "already-shipped")


async def test_a_shipment_too_early_or_by_others_is_refused(world: World) -> None:
    placed = await world.place()
    early = await world.call("POST", f"{placed.path}/shipment", SHIP, OPERATOR)
    assert (early.status, early.slug) == (409, "not-prepared")
    for auth in (placed.auth, VIEWER):
        answer = await world.call("POST", f"{placed.path}/shipment", SHIP, auth)
        assert (answer.status, answer.slug) == (403, "forbidden")


async def test_a_shipment_waits_for_the_shipping_service(world: World) -> None:
    placed = await world.place()
    world.shipments.down = True
    answer = await world.call("POST", f"{placed.path}/shipment", SHIP, OPERATOR)
    assert (answer.status, answer.slug) == (503, "service-unavailable")
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"carrier": "", "tracking": "1"}, "#/carrier"),
        ({"carrier": "4242 4242 4242 4242", "tracking": "1"}, "#/carrier"),
        ({"carrier": "DHL", "tracking": "4242-4242 42424242"}, "#/tracking"),
        ({"carrier": "DHL", "tracking": "a\nb"}, "#/tracking"),
        ({"carrier": "DHL", "tracking": "1\n"}, "#/tracking"),
    ],
)
async def test_a_shipment_that_is_not_valid_is_refused_by_field(
    world: World, body: object, pointer: str
) -> None:
    placed = await world.place()
    answer = await world.call("POST", f"{placed.path}/shipment", body, OPERATOR)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, pointer)


async def test_a_tracking_number_of_digits_is_no_card_number(world: World) -> None:
    placed = await world.place()
    body = {"carrier": "FedEx", "tracking": "986578788855018"}
    answer = await world.call("POST", f"{placed.path}/shipment", body, OPERATOR)
    assert answer.slug == "not-prepared"


async def test_a_change_at_another_version_is_refused(world: World) -> None:
    placed = await world.place()
    stale = {**placed.auth, "If-Match": '"2"'}
    answer = await world.call("POST", f"{placed.path}/cancellation", headers=stale)
    assert (answer.status, answer.slug) == (412, "version-mismatch")
    assert answer.json["order_version"] == 1
    fresh = {**placed.auth, "If-Match": '"1"'}
    assert (await world.call("PUT", f"{placed.path}/payment", NEW_CARD, fresh)).status == 200


@pytest.mark.parametrize("if_match", ['W/"1"', '"1", "2"', "1", '"x"', ""])
async def test_an_if_match_that_is_no_version_is_refused(world: World, if_match: str) -> None:
    placed = await world.place()
    headers = {**placed.auth, "If-Match": if_match}
    answer = await world.call("POST", f"{placed.path}/cancellation", headers=headers)
    assert (answer.status, answer.slug) == (422, "validation-failed")
    assert answer.json["errors"][0]["header"] == "If-Match"


async def test_if_match_can_be_required(tmp_path: Path) -> None:
    limits = Limits(rate_per_min=None, require_if_match=True)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.place()
        path = f"{placed.path}/cancellation"
        answer = await world.call("POST", path, headers=placed.auth)
        assert (answer.status, answer.slug) == (428, "precondition-required")
        any_version = {**placed.auth, "If-Match": "*"}
        assert (await world.call("POST", path, headers=any_version)).status == 200


@pytest.mark.parametrize(
    ("content_type", "data", "status", "slug"),
    [
        ("text/plain", b"{}", 415, "unsupported-media-type"),
        (None, b"{}", 415, "unsupported-media-type"),
        ("application/json", b"{", 400, "malformed-json"),
        ("application/json", b"", 400, "malformed-json"),
        ("application/json", b"\xff", 400, "malformed-json"),
        ("application/json", b"[]", 422, "validation-failed"),
        ("application/json; charset=utf-8", b"{}", 422, "validation-failed"),
        ("application/json", b" " * 65_537, 413, "body-too-large"),
    ],
)
async def test_a_body_must_be_json_of_bounded_size(
    world: World, content_type: str | None, data: bytes, status: int, slug: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await world.call("POST", "/v1/orders", headers=headers, data=data)
    assert (answer.status, answer.slug) == (status, slug)


async def test_a_compressed_body_is_not_read(world: World) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = await world.call("POST", "/v1/orders", ORDER, headers)
    assert (answer.status, answer.slug) == (415, "unsupported-media-type")


async def test_the_request_correlates_what_follows(world: World) -> None:
    headers = {"Request-Id": "trace-1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    answer = await world.call("POST", "/v1/orders", ORDER, headers)
    assert answer.headers["Request-Id"] == "trace-1"
    path = f"/v1/orders/{answer.json['id']}/events"
    event = (await world.call("GET", path, headers=OPERATOR)).json["data"][0]
    assert event["correlation_id"] == event["order_correlation"] == "trace-1"


async def test_writes_are_limited_by_caller_reads_are_not(tmp_path: Path) -> None:
    async with gateway_world(tmp_path, limits=Limits(rate_per_min=2)) as world:
        placed = await world.place()
        await world.place()
        refused = await world.call("POST", "/v1/orders", ORDER)
        assert (refused.status, refused.slug) == (429, "rate-limited")
        assert refused.headers["Retry-After"] == "30"
        # The order's own customer has a bucket of her own, the operator none at all.
        payment = f"{placed.path}/payment"
        statuses = [
            (await world.call("PUT", payment, NEW_CARD, placed.auth)).status for _ in range(3)
        ]
        assert statuses == [200, 200, 429]
        assert (await world.call("GET", placed.path, headers=placed.auth)).status == 200
        assert (await world.call("POST", "/v1/orders", ORDER, OPERATOR)).status == 201
        world.clock.now_s += 30
        assert (await world.call("POST", "/v1/orders", ORDER)).status == 201
