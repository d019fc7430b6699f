from pathlib import Path

import msgspec
import pytest
from quart import Quart

from actors.domain.event_json import EventJson, event_of
from actors.domain.order_events import Recorded
from actors.domain.shipments import Shipments
from actors.shipping.rest import ShippedReply, shipping_app
from runtime.errors import Rejection, Unavailable
from runtime.host import production_host
from runtime.telemetry import quiet_telemetry
from tests.harness.freed import left_to_the_collector
from tests.harness.orders import SAMPLES, sample_event, sample_order

TOKEN = "a token of the gateway's"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
PATH = "/internal/v1/shipments/ord_1/shipped"
EVENT = sample_event(sample_order(), SAMPLES["shipped"])


class Desk:
    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._failure = failure

    async def shipped(
        self, order_id: str, carrier: str, tracking: str, correlation_id: str
    ) -> Recorded:
        self.asked.append((order_id, carrier, tracking, correlation_id))
        if self._failure is not None:
            raise self._failure
        return Recorded(EVENT, replayed=True)


def app_over(shipments: Shipments, folder: Path) -> Quart:
    async def status() -> object:
        return {}

    return shipping_app(
        shipments,
        tokens={"gateway": TOKEN, "other": "another token"},
        ids=production_host(folder).ids,
        checks={"store": lambda: "ok"},
        telemetry=quiet_telemetry(),
        status=status,
    )


async def test_a_shipment_is_noted_and_answered_with_its_event(tmp_path: Path) -> None:
    desk = Desk()
    body = b'{"carrier": " DHL ", "tracking": "JJD1", "correlation_id": "req_7"}'
    response = await app_over(desk, tmp_path).test_client().post(PATH, data=body, headers=HEADERS)
    assert response.status_code == 200
    assert desk.asked == [("ord_1", "DHL", "JJD1", "req_7")]
    reply = msgspec.json.decode(await response.get_data(), type=ShippedReply)
    assert isinstance(reply.event, EventJson)
    assert (event_of(reply.event), reply.replayed) == (EVENT, True)


async def test_a_request_without_a_correlation_is_given_one(tmp_path: Path) -> None:
    desk = Desk()
    body = b'{"carrier": "DHL", "tracking": "JJD1"}'
    await app_over(desk, tmp_path).test_client().post(PATH, data=body, headers=HEADERS)
    assert desk.asked[0][3].startswith("req_")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN} ", "Bearer ä"],
)
async def test_only_services_may_ask(tmp_path: Path, authorization: str) -> None:
    desk = Desk()
    headers = {**HEADERS, "Authorization": authorization}
    body = b'{"carrier": "DHL", "tracking": "JJD1"}'
    response = await app_over(desk, tmp_path).test_client().post(PATH, data=body, headers=headers)
    assert (response.status_code, desk.asked) == (401, [])
    assert response.content_type == "application/problem+json"
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 400, "malformed-json"),
        (b"\xff", 400, "malformed-json"),
        (b"[" * 70_000, 413, "request-entity-too-large"),
        (b"[" * 60_000, 422, "validation-failed"),
        (b"{}", 422, "validation-failed"),
        (b'{"carrier": "DHL"}', 422, "validation-failed"),
        (b'{"carrier": "", "tracking": "JJD1"}', 422, "validation-failed"),
        (b'{"carrier": " ", "tracking": "JJD1"}', 422, "validation-failed"),
        (b'{"carrier": "DHL", "tracking": "J\\u202e1"}', 422, "validation-failed"),
        (b'{"carrier": "DHL", "tracking": "4242 4242 4242 4242"}', 422, "validation-failed"),
        (b'{"carrier": "4242424242424242", "tracking": "JJD1"}', 422, "validation-failed"),
        (b'{"carrier": "DHL", "tracking": "JJD1", "extra": 1}', 422, "validation-failed"),
        (b'{"carrier": "%s", "tracking": "JJD1"}' % (b"D" * 41), 422, "validation-failed"),
    ],
)
async def test_a_bad_body_is_refused_and_never_quoted(
    tmp_path: Path, body: bytes, status: int, slug: str
) -> None:
    desk = Desk()
    client = app_over(desk, tmp_path).test_client()
    with left_to_the_collector(Rejection) as left:
        response = await client.post(PATH, data=body, headers=HEADERS)
    problem = msgspec.json.decode(await response.get_data())
    assert (response.status_code, desk.asked) == (status, [])
    assert problem["type"] == f"/problems/{slug}"
    assert left == []


async def test_a_refusal_is_a_problem_with_its_details(tmp_path: Path) -> None:
    details = {"order_status": "shipped", "refused_event": "shipped"}
    desk = Desk(Rejection("already-shipped", "Shipped before.", details=details))
    body = b'{"carrier": "DHL", "tracking": "JJD1"}'
    response = await app_over(desk, tmp_path).test_client().post(PATH, data=body, headers=HEADERS)
    problem = msgspec.json.decode(await response.get_data())
    assert (response.status_code, problem["order_status"]) == (409, "shipped")
    assert problem["type"] == "/problems/already-shipped"
    assert "refused_event" not in problem


async def test_a_log_that_is_down_is_503(tmp_path: Path) -> None:
    desk = Desk(Unavailable("down", retry_after_s=3))
    body = b'{"carrier": "DHL", "tracking": "JJD1"}'
    response = await app_over(desk, tmp_path).test_client().post(PATH, data=body, headers=HEADERS)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "3")


async def test_it_shows_what_every_service_shows(tmp_path: Path) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/internal/v1/status"):
        assert (await app_over(Desk(), tmp_path).test_client().get(path)).status_code == 200
