"""The operator's API: who may, what it tells and does, what it says when a service is away."""

import json
from pathlib import Path

import pytest

from actors.gateway.admin.operations import ADMIN
from actors.gateway.operation import Operation
from tests.harness.gateway import OPERATOR, VIEWER, World, gateway_world
from tests.harness.system import LiveSystem, live_system
from tests.harness.waiting import eventually

DEAL = {"letters": [{"queue": "payment", "id": "evt_1"}], "reason": "why not"}
NAMED = {"{event_id}": "evt_1", "{message_queue}": "payment", "{message_id}": "evt_1"}
HERE = (
    "admin_mailbox",
    "admin_replay",
    "admin_discard",
    "admin_work",
    "admin_overview",
    "admin_topology",
    "admin_actors",
    "admin_letters",
    "admin_audit",
    "admin_settings",
)


STOP = "/v1/admin/dead-letters/stop"
BODIES = {
    "admin_flush": {},
    "admin_restart": {"path": "ordermill/payment-service"},
    "admin_replay": DEAL,
    "admin_discard": DEAL,
    "admin_begin": {"action": "replay", **DEAL},
    "admin_stop": {"queue": "payment"},
}


def path_of(row: Operation) -> str:
    path = row.path
    for name, text in NAMED.items():
        path = path.replace(name, text)
    return path


@pytest.mark.parametrize("row", ADMIN, ids=lambda row: row.id)
async def test_nobody_but_staff_is_let_in(world: World, row: Operation) -> None:
    placed = await world.place()
    body = BODIES.get(row.id)
    nobody = await world.call(row.method, path_of(row), body)
    assert (nobody.status, nobody.slug) == (401, "unauthorized")
    for stranger in ({"Authorization": "Bearer somebody"}, placed.auth):
        refused = await world.call(row.method, path_of(row), body, headers=stranger)
        assert (refused.status, refused.slug) == (401, "unauthorized")
    if row.media_type == "text/event-stream":
        return  # it has no end
    viewer = await world.call(row.method, path_of(row), body, headers=VIEWER)
    if row.access == "operator":
        assert (viewer.status, viewer.slug) == (403, "forbidden")


@pytest.mark.parametrize("row", ADMIN, ids=lambda row: row.id)
async def test_services_that_are_away_are_named_or_it_is_503(world: World, row: Operation) -> None:
    if row.media_type == "text/event-stream":
        return
    body = BODIES.get(row.id)
    answer = await world.call(row.method, path_of(row), body, headers=OPERATOR)
    if row.id in HERE:
        assert answer.status == 200
        told = answer.body.decode()
        assert (
            row.id in ("admin_settings", "admin_mailbox")
            or "nobody has said where payment listens" in told
        )
    else:
        assert (answer.status, answer.slug) == (503, "service-unavailable")


@pytest.mark.parametrize(
    "query",
    [
        *("orders?status=lost", "orders?idle=-1", "orders?cursor=0", "orders?limit=101"),
        *("events?app=lost", "events?since=today"),
        *("events?type=lost", "events?order=1", "events?after=x", "events?limit=0"),
        *("actors?actor=", "actors?actor=A%20B", f"actors?actor={'a' * 301}"),
        *("dead-letters?queue=gateway", "dead-letters?type=x", "audit?limit=1000"),
        f"orders?q={'a' * 301}",
    ],
)
async def test_what_cannot_be_meant_is_refused(world: World, query: str) -> None:
    answer = await world.call("GET", f"/v1/admin/{query}", headers=OPERATOR)
    assert (answer.status, answer.slug) == (422, "validation-failed")
    assert answer.json["errors"][0]["parameter"] == query.partition("?")[2].partition("=")[0]


async def test_it_tells_and_does_what_the_console_does(tmp_path: Path) -> None:
    async with live_system(tmp_path, retry={"attempts_max": 1}) as system:
        good = await system.place()
        await good.wait_for("shipping-prepared")
        bad = await system.place("pm_card_poison")
        letter = await eventually(lambda: first_letter(system))
        assert letter["queue"] == "payment"
        overview = await tell(system, "overview")
        assert overview["parked"] == {"payment": 1, "shipping": 0, "notification": 0}
        assert overview["figures"]["total"] == 2
        assert any("payment has parked" in problem["what"] for problem in overview["problems"])
        topology = await tell(system, "topology")
        depths = {row["name"]: row["ready"] for row in topology["queues"]}
        assert depths["payment.dead"] == 1
        assert {row["state"] for row in topology["links"]} == {"connected"}
        assert topology["supervision"][0]["name"] == "ordermill"
        assert topology["troubles"] == []
        found = await tell(system, f"orders?q={good.id}")
        assert [(row["id"], row["status"]) for row in found["data"]] == [(good.id, "prepared")]
        newest = await tell(system, "events?limit=1")
        assert await tell(system, f"events/{newest['data'][0]['id']}") == newest["data"][0]
        first = await tell(system, f"events?after=0&order={bad.id}&type=order-created")
        assert [row["order_id"] for row in first["data"]] == [bad.id]
        assert (await tell(system, "outbox"))["pending"] == 0
        await flush(system)
        await deal(system, letter)


async def first_letter(system: LiveSystem) -> dict[str, object] | None:
    found = (await tell(system, "dead-letters?queue=payment"))["data"]
    return found[0] if found else None


async def tell(system: LiveSystem, path: str) -> dict:
    answer = await system.call("GET", f"/v1/admin/{path}", token="operator")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def flush(system: LiveSystem) -> None:
    path = "/v1/admin/outbox/flush"
    assert (await system.call("POST", path, token="operator")).status_code == 202
    named = await system.call("POST", path, {"reason": "for ada@example.org"}, token="operator")
    assert named.status_code == 422
    rows = (await tell(system, "audit"))["data"]
    assert [row["outcome"].split(",")[0] for row in rows] == ["woken", "started"]
    assert {(row["service"], row["action"]) for row in rows} == {("order-events", "outbox-flush")}


async def deal(system: LiveSystem, letter: dict[str, object]) -> None:
    chosen = {"letters": [{"queue": "payment", "id": letter["id"]}], "reason": "to see"}
    one = await tell(system, f"dead-letters/payment/{letter['id']}")
    assert one["id"] == letter["id"]
    assert "order_id" in one["body"]
    for body in ({**chosen, "reason": ""}, {**chosen, "letters": []}, {**chosen, "more": 1}):
        path = "/v1/admin/dead-letters/discard"
        refused = await system.call("POST", path, body, token="operator")
        assert refused.status_code == 422
    tried = {**chosen, "dry_run": True}
    answer = await system.call("POST", "/v1/admin/dead-letters/discard", tried, token="operator")
    assert answer.json() == {"dealt": 0, "found": [letter], "gone": 0, "troubles": []}
    answer = await system.call("POST", "/v1/admin/dead-letters/replay", chosen, token="operator")
    assert (answer.status_code, answer.json()["dealt"]) == (200, 1)

    async def back() -> bool:
        again = await first_letter(system)
        return again is not None and bool(again["returned"])

    await eventually(back)
    await work(system, chosen)
    answer = await system.call("POST", "/v1/admin/dead-letters/discard", chosen, token="operator")
    assert answer.json()["dealt"] == 1
    answer = await system.call("POST", "/v1/admin/dead-letters/discard", chosen, token="operator")
    assert answer.json() == {"dealt": 0, "found": [], "gone": 1, "troubles": []}


async def work(system: LiveSystem, chosen: dict[str, object]) -> None:
    """Begin a long work, hear of its end, and stop one that is over already."""
    assert await tell(system, "dead-letters/work") == {"data": [], "troubles": []}
    path = "/v1/admin/dead-letters/work"
    unknown = {**chosen, "letters": [{"queue": "payment", "id": "evt_none"}]}
    begun = await system.call("POST", path, {"action": "discard", **unknown}, token="operator")
    assert begun.status_code == 202, begun.text
    (row,) = begun.json()["data"]
    assert (row["queue"], row["work"]["action"]) == ("payment", "dead-letters-discard")

    async def over() -> bool:
        (row,) = (await tell(system, "dead-letters/work"))["data"]
        return row["work"]["state"] == "done"

    await eventually(over)
    stopped = await system.call("POST", STOP, {"queue": "payment"}, token="operator")
    assert (stopped.status_code, stopped.json()["data"][0]["work"]["state"]) == (202, "done")
    nobody = await system.call("POST", STOP, {"queue": "gateway"}, token="operator")
    assert nobody.status_code == 404


async def test_mails_are_shown_where_the_shop_shows_them(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        await (await system.place()).wait_for("shipping-prepared")
        await system.quiet()
        (mail,) = (await tell(system, "mailbox"))["data"]
        assert (mail["to"], "/o/" in mail["text"]) == ("ada@example.org", True)
    for changes in ({"mailbox": False}, {"mode": "live"}):
        async with gateway_world(tmp_path / "apart", **changes) as world:
            answer = await world.call("GET", "/v1/admin/mailbox", headers=OPERATOR)
            assert (answer.status, answer.slug) == (404, "not-found")


async def test_the_log_is_followed(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        order = await system.place()
        headers = {"authorization": f"Bearer {system._operator}", "last-event-id": "0"}
        path = "/v1/admin/events/stream"
        async with system.client.stream("GET", path, headers=headers, timeout=30) as stream:
            lines = stream.aiter_lines()
            data = [line async for line in first_events(lines)]
    assert all(order.id in line for line in data)


async def test_the_topology_is_followed_and_told_when_it_has_changed(tmp_path: Path) -> None:
    async with live_system(tmp_path, retry={"attempts_max": 1}) as system:
        await system.quiet()
        headers = {"authorization": f"Bearer {system._operator}"}
        path = "/v1/admin/topology/stream"
        dead: list[dict[str, int]] = []
        async with system.client.stream("GET", path, headers=headers, timeout=30) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                told = json.loads(line.removeprefix("data:"))
                assert told["supervision"][0]["name"] == "ordermill"
                dead.append({row["name"]: row["ready"] for row in told["queues"]})
                if len(dead) == 1:
                    await system.place("pm_card_poison")
                if dead[-1]["payment.dead"] == 1:
                    break
    assert dead[0]["payment.dead"] == 0


async def first_events(lines):
    count = 0
    async for line in lines:
        if line.startswith("data:"):
            yield line
            count += 1
            if count == 2:
                return
