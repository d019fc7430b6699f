"""The operators' door: one token, bodies that are never quoted, and no card number in the audit."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from quart.typing import TestClientProtocol as Http

from actors.order_events.operating import order_events_operator
from actors.order_events.parts import OrderEventsParts
from actors.services import OPERATOR_PREFIX
from actors.topology import SUBSCRIPTIONS
from runtime.errors import Rejection
from tests.harness.freed import left_to_the_collector
from tests.harness.order_events import order_events_app, order_events_parts

TOKEN = "operator-token-of-the-tests-0001"
AUTH = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
CARD = "4242424242424242"
SPELLINGS = [CARD, "4242 4242 4242 4242", f"no. {CARD}!"]
NOTE = {"action": "store-backup", "target": "/backup/20261126143910", "outcome": "copied 5 files"}


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[OrderEventsParts]:
    async with order_events_parts(tmp_path) as running:
        yield running


@pytest.fixture
def http(parts: OrderEventsParts) -> Http:
    app = order_events_app(parts)
    clock = type("Clock", (), {"wall": lambda _: 0.0, "monotonic": lambda _: 0.0})()
    app.register_blueprint(order_events_operator(TOKEN, parts, SUBSCRIPTIONS, clock))
    return app.test_client()


async def posted(http: Http, path: str, body: object) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    response = await http.post(f"{OPERATOR_PREFIX}{path}", data=data, headers=AUTH)
    return response.status_code, await response.get_data(as_text=True)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def audited(http: Http) -> list[dict[str, str]]:
    response = await http.get(f"{OPERATOR_PREFIX}/audit", headers=AUTH)
    return list((await response.get_json())["data"])


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ä"]
)
async def test_every_route_needs_the_operators_token(http: Http, authorization: str) -> None:
    for method, path in (("GET", "/audit"), ("POST", "/audit"), ("POST", "/outbox/flush")):
        headers = {"Authorization": authorization}
        response = await http.open(f"{OPERATOR_PREFIX}{path}", method=method, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_what_was_done_elsewhere_is_noted(http: Http) -> None:
    assert (await posted(http, "/audit", NOTE))[0] == 201
    (entry,) = await audited(http)
    assert {name: entry[name] for name in NOTE} == NOTE


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_card_number_is_refused_and_gets_nowhere(
    http: Http, parts: OrderEventsParts, tmp_path: Path, spelling: str
) -> None:
    offer = {"event_id": "evt_" + "0" * 26, "queue": "payment"}
    for path, body in (
        *[("/audit", {**NOTE, name: spelling}) for name in (*NOTE, "reason", spelling)],
        ("/outbox/flush", {"reason": spelling}),
        ("/outbox/reoffer", {"reason": spelling, "offers": [offer]}),
        ("/outbox/reoffer", {"reason": "x", "offers": [{**offer, "event_id": spelling}]}),
        ("/outbox/reoffer", {"reason": "x", "offers": [{**offer, "queue": spelling}]}),
        ("/erasures/ord_" + "0" * 26, {"reason": spelling}),
    ):
        status, text = await posted(http, path, body)
        assert (status, "4242" in text) == (422, False), (path, body)
    for path in (f"/erasures/{spelling}", f"/erasures/{spelling}/store"):
        status, text = await posted(http, path, {})
        assert (status, "4242" in text) == (404, False)
    assert await audited(http) == []
    assert [name for name, data in files(tmp_path).items() if spelling.encode() in data] == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"[" * 60_000, 422, "not valid at $."),
        (b'{"reason":' * 5_000, 422, "not valid at"),
        (b"\xff", 400, "not JSON"),
        (b'{"reason":"\xff"}', 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"reason":1}', 422, "not valid at $.reason."),
        (b'{"hunter2":1}', 422, "not valid at $."),
        (b'{"reason":"\\u202e"}', 422, "`reason` must not hold control, zero-width"),
        (b'{"reason":"\\u001b[31m"}', 422, "`reason` must not hold control, zero-width"),
    ],
)
async def test_a_wrong_body_is_told_where_and_not_quoted(
    http: Http, body: bytes, status: int, told: str
) -> None:
    with left_to_the_collector(Rejection) as left:
        found, text = await posted(http, "/outbox/flush", body)
    assert found == status
    assert told in text
    assert "hunter2" not in text
    assert left == []


async def test_a_reason_that_names_a_person_is_refused_and_not_quoted(http: Http) -> None:
    body = {"reason": "ada@example.org asked to"}
    for path in ("/outbox/flush", "/erasures/ord_" + "0" * 26):
        status, text = await posted(http, path, body)
        assert (status, "no e-mail address" in text, "ada" in text) == (422, True, False)
    assert await audited(http) == []
    assert (await posted(http, "/outbox/flush", {"reason": "called, @ the desk"}))[0] == 200
