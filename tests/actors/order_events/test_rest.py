"""The internal HTTP API: who may call what, strict input, and an answer of ours to any input."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from quart import Response
from quart.typing import TestClientProtocol as Http

from actors.domain.order import Order
from actors.domain.order_events import CancelOrder, Service
from actors.order_events import problems
from actors.order_events.parts import OrderEventsParts
from actors.order_events.problems import pointer_of
from actors.order_events.rest import EVERYBODY, ROUTES
from actors.order_events.wire import CommandBody
from runtime.errors import Rejection
from tests.harness.order_events import (
    TOKENS,
    RecordingPublisher,
    order_events_app,
    order_events_parts,
    sample_intent,
)
from tests.harness.orders import sample_placing
from tests.harness.waiting import until


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[OrderEventsParts]:
    async with order_events_parts(tmp_path) as running:
        yield running


@pytest.fixture
async def http(parts: OrderEventsParts) -> Http:
    return order_events_app(parts).test_client()


def _headers(service: Service = "gateway", **more: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {TOKENS[service]}",
        "Content-Type": "application/json",
        **more,
    }


async def _placed(parts: OrderEventsParts) -> Order:
    return (await parts.client("gateway").execute(sample_placing(), sample_intent())).order


async def _problem(response: Response) -> dict[str, object]:
    assert response.content_type == "application/problem+json"
    problem = msgspec.json.decode(await response.get_data(as_text=False))
    assert problem["status"] == response.status_code
    assert problem["type"] == f"/problems/{problem['code']}"
    return problem


PLACING = msgspec.json.encode(CommandBody(sample_placing(), sample_intent("k")))


async def test_a_placed_order_has_a_place_and_a_tag(http: Http) -> None:
    first = await http.post("/internal/v1/orders", headers=_headers(), data=PLACING)
    again = await http.post("/internal/v1/orders", headers=_headers(), data=PLACING)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.headers["ETag"] == again.headers["ETag"] == '"1"'
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    place = first.headers["Location"]
    assert again.headers["Location"] == place
    shown = await http.get(place, headers=_headers())
    assert shown.status_code == 200
    assert (await shown.get_json())["number"] == 1001


async def test_a_refusal_replayed_says_so(http: Http, parts: OrderEventsParts) -> None:
    order = await _placed(parts)
    cancel = CancelOrder(order.id, "customer")
    await parts.client("gateway").execute(cancel, sample_intent())
    body = msgspec.json.encode(CommandBody(cancel, sample_intent("k")))
    path = f"/internal/v1/orders/{order.id}/cancellation"
    first = await http.post(path, headers=_headers(), data=body)
    again = await http.post(path, headers=_headers(), data=body)
    assert first.status_code == again.status_code == 409
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await _problem(first))["code"] == "order-already-cancelled"


async def test_an_event_is_created_once(http: Http, parts: OrderEventsParts) -> None:
    order = await _placed(parts)
    event = {
        "id": "evt_1",
        "type": "payment-auth-in-progress/v1",
        "data": {"attempt": 1},
        "correlation_id": "msg_1",
        "publish": False,
    }
    path = f"/internal/v1/orders/{order.id}/events"
    data = msgspec.json.encode(event)
    first = await http.post(path, headers=_headers("payment"), data=data)
    again = await http.post(path, headers=_headers("payment"), data=data)
    assert (first.status_code, again.status_code) == (201, 200)
    shown = (await again.get_json())["event"]
    assert (shown["version"], shown["type"], shown["app_id"]) == (
        2,
        "payment-auth-in-progress/v1",
        "payment-service",
    )


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"publish": True}, "#/publish"),
        ({"type": "payment-auth-in-progress/v2"}, "#/type"),
        ({"type": "nothing/v1"}, "#/type"),
        ({"id": "a b"}, "#/id"),
        ({"id": ""}, "#/id"),
        ({"expected_version": -1}, "#/expected_version"),
        ({"correlation_id": "ä"}, "#/correlation_id"),
        ({"surprise": 1}, "#"),
    ],
)
async def test_a_wrong_field_is_named(http: Http, change: dict[str, object], pointer: str) -> None:
    event = {
        "id": "evt_1",
        "type": "payment-auth-in-progress/v1",
        "data": {"attempt": 1},
        "correlation_id": "msg_1",
        **change,
    }
    response = await http.post(
        "/internal/v1/orders/ord_1/events",
        headers=_headers("payment"),
        data=msgspec.json.encode(event),
    )
    problem = await _problem(response)
    assert (response.status_code, problem["code"]) == (422, "validation-failed")
    assert problem["pointer"] == pointer


async def test_a_command_must_be_the_routes_own(http: Http, parts: OrderEventsParts) -> None:
    order = await _placed(parts)
    body = msgspec.json.encode(CommandBody(CancelOrder(order.id, "customer"), sample_intent()))
    wrong_type = await http.put(
        f"/internal/v1/orders/{order.id}/payment", headers=_headers(), data=body
    )
    wrong_order = await http.post(
        "/internal/v1/orders/ord_x/cancellation", headers=_headers(), data=body
    )
    assert (await _problem(wrong_type))["pointer"] == "#/command/type"
    assert (await _problem(wrong_order))["pointer"] == "#/command/order_id"


# Who may call


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
async def test_every_route_needs_a_token_of_a_permitted_service(
    http: Http, route: tuple[str, str, object, tuple[Service, ...]]
) -> None:
    method, rule, _, permitted = route
    path = rule.replace("<order_id>", "ord_none")
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKENS['gateway']}"},
        {"Authorization": "Bearer ä"},
    ):
        response = await http.open(path, method=method, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await _problem(response))["code"] == "unauthorized"
    for service in EVERYBODY:
        response = await http.open(path, method=method, headers=_headers(service), data=b"{}")
        forbidden = service not in permitted
        assert (response.status_code == 403) == forbidden


async def test_health_and_metrics_need_no_token(http: Http) -> None:
    assert (await http.get("/healthz")).status_code == 200
    ready = await http.get("/readyz")
    assert (ready.status_code, await ready.get_json()) == (200, {"checks": {"store": "ok"}})
    metrics = await http.get("/metrics")
    assert b"ordermill_outbox_pending" in await metrics.get_data(as_text=False)


async def test_readiness_is_what_every_check_says(parts: OrderEventsParts) -> None:
    said = {"store": "ok", "broker": "reconnecting 12s"}
    checks = {name: partial(said.__getitem__, name) for name in said}
    http = order_events_app(parts, checks=checks).test_client()
    late = await http.get("/readyz")
    assert (late.status_code, await late.get_json()) == (503, {"checks": said})
    said["broker"] = "ok"
    assert (await http.get("/readyz")).status_code == 200


# Any input gets an answer of ours


BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe\xfd",
    b'{"command": "\xff"}',
    b"[" * 60_000,
    b'{"command":' * 5_000,
    PLACING.replace(b"ada@", b"a@b,"),
    PLACING.replace(b'"quantity":2', b'"quantity":2.5'),
    PLACING.replace(b'"quantity":2', b'"quantity":' + b"9" * 5000),
    PLACING.replace(b'"place-order"', b'"4242 4242 4242 4242"'),
    PLACING.replace(b"Ada Lovelace", b"4242 4242 4242 4242"),
    PLACING.replace(b"Ada Lovelace", b"\\u0000"),
    PLACING.replace(b"Ada Lovelace", b"\\ud800"),
    PLACING.replace(b"MUG-1", b"TEA-7"),
]


@pytest.mark.parametrize("data", BODIES, ids=range(len(BODIES)))
async def test_a_malformed_body_is_refused_without_echo(http: Http, data: bytes) -> None:
    response = await http.post("/internal/v1/orders", headers=_headers(), data=data)
    assert response.status_code in (400, 422)
    problem = await _problem(response)
    assert problem["code"] in ("malformed-json", "validation-failed")
    shown = await response.get_data(as_text=True)
    assert "4242" not in shown
    assert "a@b" not in shown


async def test_a_body_has_a_type_and_a_limit(http: Http) -> None:
    for kind in ("text/plain", "application/xml", ""):
        response = await http.post(
            "/internal/v1/orders", headers=_headers(**{"Content-Type": kind}), data=PLACING
        )
        assert (response.status_code, (await _problem(response))["code"]) == (
            415,
            "unsupported-media-type",
        )
    response = await http.post("/internal/v1/orders", headers=_headers(), data=b" " * 65_537)
    assert (response.status_code, (await _problem(response))["code"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    "query",
    [
        "at=-1",
        "at=x",
        "at=2023-01-01",
        "at=%D9%A3",
        f"at={'9' * 30}",
        "at_ms=1e3",
        "at_version=1.5",
    ],
)
async def test_a_wrong_parameter_is_refused(http: Http, query: str) -> None:
    response = await http.get(f"/internal/v1/orders/ord_1?{query}", headers=_headers())
    assert (response.status_code, (await _problem(response))["code"]) == (422, "validation-failed")


@pytest.mark.parametrize("query", ["after=-1", "limit=x", "wait=61", "wait=-1", "wait=nan"])
async def test_paging_is_strict(http: Http, query: str) -> None:
    response = await http.get(f"/internal/v1/orders/ord_1/events?{query}", headers=_headers())
    assert response.status_code == 422


async def test_an_order_is_shown_at_a_version_and_at_a_time(
    http: Http, parts: OrderEventsParts
) -> None:
    order = await _placed(parts)
    path = f"/internal/v1/orders/{order.id}"
    for query in ("at=1", "at_version=1", "at=2999-01-01T00:00:00Z"):
        response = await http.get(f"{path}?{query}", headers=_headers())
        assert (response.status_code, response.headers["ETag"]) == (200, '"1"')
    for query in ("at=2", "at=0", "at=1999-01-01T00:00:00%2B01:00"):
        assert (await http.get(f"{path}?{query}", headers=_headers())).status_code == 404


async def test_unknown_paths_and_methods_are_problems_too(http: Http) -> None:
    response = await http.get("/internal/v1/nothing", headers=_headers())
    assert (response.status_code, (await _problem(response))["code"]) == (404, "not-found")
    response = await http.delete("/internal/v1/orders", headers=_headers())
    assert (response.status_code, (await _problem(response))["code"]) == (405, "method-not-allowed")


async def test_only_kinds_of_personal_data_that_there_are_may_be_asked_for(
    http: Http, parts: OrderEventsParts
) -> None:
    order = await _placed(parts)
    path = f"/internal/v1/orders/{order.id}/with"
    response = await http.get(f"{path}?kind=address&kind=shoes", headers=_headers())
    problem = await _problem(response)
    assert (response.status_code, problem["code"]) == (422, "validation-failed")
    assert problem["details"] == {"parameter": "kind"}


async def test_a_bug_is_an_internal_error_without_details(
    http: Http, parts: OrderEventsParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("secret detail")

    monkeypatch.setattr("actors.order_events.vault.read", broken)
    order = await _placed(parts)
    response = await http.get(f"/internal/v1/orders/{order.id}/personal?ref=x", headers=_headers())
    assert (response.status_code, (await _problem(response))["code"]) == (500, "internal")
    assert "secret" not in await response.get_data(as_text=True)


async def test_a_full_mailbox_is_unavailable_for_now(http: Http, parts: OrderEventsParts) -> None:
    parts.ref.mailbox.close()
    response = await http.post("/internal/v1/orders", headers=_headers(), data=PLACING)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert (await _problem(response))["code"] == "unavailable"


# The rest


async def test_the_log_of_all_orders_is_read_by_position(
    http: Http, parts: OrderEventsParts
) -> None:
    for _ in range(3):
        await _placed(parts)
    response = await http.get("/internal/v1/events?after=1&limit=1", headers=_headers())
    (event,) = (await response.get_json())["data"]
    assert event["position"] == 2
    response = await http.get("/internal/v1/events?after=3&wait=0.01", headers=_headers())
    assert (await response.get_json())["data"] == []


async def test_the_outbox_is_shown_and_flushed(tmp_path: Path) -> None:
    publisher = RecordingPublisher()
    publisher.down = True
    async with order_events_parts(tmp_path, publisher=publisher) as parts:
        http = order_events_app(parts).test_client()
        await _placed(parts)
        await until(lambda: parts.relay.statistics().pending == 1)
        shown = await http.get("/internal/v1/outbox", headers=_headers())
        assert (await shown.get_json())["pending"] == 1
        publisher.down = False
        flushed = await http.post("/internal/v1/outbox/flush", headers=_headers())
        assert flushed.status_code == 202
        await until(lambda: parts.relay.statistics().pending == 0)


async def test_an_order_is_erased_once_it_is_settled(http: Http, parts: OrderEventsParts) -> None:
    order = await _placed(parts)
    path = f"/internal/v1/orders/{order.id}"
    refused = await http.post(f"{path}/erasure", headers=_headers())
    assert (refused.status_code, (await _problem(refused))["code"]) == (409, "not-settled")
    await parts.client("gateway").execute(CancelOrder(order.id, "customer"), sample_intent())
    for _ in range(2):
        erased = await http.post(f"{path}/erasure", headers=_headers())
        assert erased.status_code == 204
    shown = await http.get(f"{path}/personal?ref={order.customer_ref}", headers=_headers())
    assert await shown.get_json() == {}


def test_a_pointer_never_holds_what_was_sent() -> None:
    cases = {
        "Expected `int`, got `str` - at `$.items[0].quantity`": "#/items/0/quantity",
        "Object contains unknown field `4242` - at `$.intent`": "#/intent",
        "Object contains unknown field `4242`": "#",
        "Invalid value '4242' - at `$.command.type`": "#/command/type",
        "`email` must be exactly one e-mail address - at `$.a.b`": "#/a/b",
        "Expected `str` - at `$[...]`": "#/*",
    }
    for text, pointer in cases.items():
        assert pointer_of(msgspec.ValidationError(text)) == pointer


async def test_every_kind_of_error_has_its_status() -> None:
    assert problems.problem_of(Rejection("x", "no", status_hint=418)).status == 418
    assert problems.problem_of(KeyError("x")).status == 500
