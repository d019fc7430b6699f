"""Whoever is in the supervision tree: shown, and started again by operators alone."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from actors.parties import Parties
from actors.tree_desk import ActorReply
from runtime.node import NodeStatus
from runtime.transaction import Work
from tests.harness.browser_client import BrowserClient
from tests.harness.operator_pages import browser_at, log_in
from tests.harness.parties import WilfulProvider
from tests.harness.system import LiveSystem, live_system
from tests.harness.waiting import eventually

WRITER = "ordermill/order-events/order-events"
LANES = "ordermill/payment-service/payment/messages-payment/lanes-payment"
DESK = "ordermill/shipping-service/shipping/shipping-desk"
VIEWER = "a-viewer-of-the-tests-0123456789-abcdefghij"


async def let_in(system: LiveSystem) -> BrowserClient:
    browser = browser_at(system.client)
    await browser.get(system.running.login_path())
    return browser


def node_at(system: LiveSystem, path: str) -> NodeStatus:
    node = system.running.system.supervisor.tree()
    for name in path.split("/")[1:]:
        node = next(child for child in node.children if child.name == name)
    return node


async def until_restarted(system: LiveSystem, path: str, restarts: int = 1) -> None:
    async def again() -> bool:
        node = node_at(system, path)
        return (node.restarts, node.state) == (restarts, "running")

    await eventually(again)


async def test_an_operator_restarts_an_actor_and_the_audit_knows(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        browser = await let_in(system)
        page = await browser.get(f"/ops/actors/{WRITER}")
        done = await browser.submit(page.form(f"/ops/actors/{WRITER}"), reason="it looked odd")
        assert (done.status, "The restart has begun" in done.text) == (200, True)
        await until_restarted(system, WRITER)
        assert "1 restart" in (await browser.get(f"/ops/actors/{WRITER}")).text
        order = await system.place()
        await order.wait_for("shipping-prepared")
        audit = (await browser.get("/ops/audit")).text
        for told in ("actor-restart", WRITER, "it looked odd", "begun"):
            assert told in audit


async def test_who_is_taken_along_is_said_before_and_so_it_is(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        browser = await let_in(system)
        page = await browser.get(f"/ops/actors/{LANES}")
        assert "so do hold-payment, " in page.text
        await browser.submit(page.form(f"/ops/actors/{LANES}"))
        await until_restarted(system, LANES)
        await until_restarted(system, LANES.replace("lanes", "operator"))
        rows = (await system.call("GET", "/v1/admin/audit", token="operator")).json()["data"]
        assert {(row["service"], row["outcome"]) for row in rows} == {
            ("payment", "started"),
            ("payment", "begun"),
        }
        order = await system.place()
        await order.wait_for("shipping-prepared")


async def test_even_the_server_that_answers_can_be_restarted(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        path = "ordermill/payment-service"
        body = {"path": path, "reason": "to see"}
        told = await system.call("POST", "/v1/admin/actors/restart", body, token="operator")
        assert told.status_code == 202
        assert [row["path"] for row in told.json()["data"]] == [path]
        await until_restarted(system, path)

        async def answers() -> bool:
            found = await system.call("GET", f"/v1/admin/actors?actor={path}", token="operator")
            return found.json()["troubles"] == []

        await eventually(answers)
        order = await system.place()
        await order.wait_for("shipping-prepared")


async def test_the_root_and_nobody_cannot_be_restarted(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        browser = await let_in(system)
        root = await browser.get("/ops/actors/ordermill")
        assert not root.root.all("form", action="/ops/actors/ordermill")
        for path, status in (
            ("ordermill", 422),
            ("ordermill/nobody", 404),
            ("nobody", 404),
            (f"{WRITER}/below", 404),
        ):
            body = {"path": path}
            told = await system.call("POST", "/v1/admin/actors/restart", body, token="operator")
            assert (path, told.status_code) == (path, status)
        everybody = (await system.call("GET", "/v1/admin/actors", token="operator")).json()["data"]
        assert [row["path"] for row in everybody][:2] == ["ordermill", "ordermill/loop-lag"]
        assert sum(row["restarts"] for row in everybody) == 0


@pytest.mark.parametrize("harm", ["viewer", "csrf", "reason"])
async def test_a_restart_is_refused_and_nothing_stops(tmp_path: Path, harm: str) -> None:
    async with live_system(tmp_path, security={"viewer_token": VIEWER}) as system:
        operator = await let_in(system)
        form = (await operator.get(f"/ops/actors/{WRITER}")).form(f"/ops/actors/{WRITER}")
        if harm == "viewer":
            viewer = browser_at(system.client)
            page = await log_in(viewer, VIEWER, f"/ops/actors/{WRITER}")
            assert not page.root.all("form", action=f"/ops/actors/{WRITER}")
            refused = await viewer.submit(form)
        elif harm == "csrf":
            refused = await operator.submit(form, csrf="forged")
        else:
            refused = await operator.submit(form, reason="for ada@example.org")
        assert refused.status == (422 if harm == "reason" else 403)
        assert "ada@example.org" not in refused.response.body.decode()
        assert node_at(system, WRITER).restarts == 0
        rows = (await system.call("GET", "/v1/admin/audit", token="operator")).json()["data"]
        assert rows == []


async def test_what_waits_is_told_by_type_lane_and_age_and_what_was_logged(tmp_path: Path) -> None:
    provider: list[WilfulProvider] = []

    def wilful(parties: Parties) -> Parties:
        assert parties.provider is not None
        provider.append(WilfulProvider(parties.provider))
        provider[0].unreachable["authorise"] = 10**6
        return msgspec.structs.replace(parties, provider=provider[0])

    async with live_system(tmp_path, wrap=wilful, retry={"tiers_s": [600]}) as system:
        order = await system.place()
        browser = await let_in(system)
        log: list[str] = []

        async def requeued() -> bool:
            log[:] = [(await browser.get(f"/ops/actors/{LANES}")).root.one(id="live-actor").text]
            return "message.retry" in log[0]

        await eventually(requeued)
        assert "What waits Nothing, at this moment." in log[0]
        assert order.id not in log[0].partition("What was logged last")[0]
        above = (await browser.get("/ops/actors/ordermill/payment-service")).text
        assert "message.retry" in above, "a supervisor shows what those below it have logged"
        assert "message.retry" not in (await browser.get(f"/ops/actors/{WRITER}")).text


async def test_what_is_held_can_be_looked_into_without_what_it_holds(tmp_path: Path) -> None:
    hold = LANES.replace("lanes", "hold")
    async with live_system(tmp_path, payment={"hold_s": 600.0}) as system:
        order = await system.place()
        browser = await let_in(system)

        async def held() -> bool:
            return order.id in (await browser.get(f"/ops/actors/{hold}")).text

        await eventually(held)
        (row,) = (await browser.get(f"/ops/actors/{hold}")).root.one(id="live-actor").all("tr")[1:]
        assert row.text.startswith(f"order-created/v1 {order.id} held ")
        query = f"/v1/admin/actors?actor={hold}"
        (told,) = (await system.call("GET", query, token="operator")).json()["data"]
        (waiting,) = told["looked"]["waiting"]
        assert (waiting["type"], waiting["lane"], waiting["state"]) == (
            *("order-created/v1", order.id, "held"),
        )
        assert 0.0 <= waiting["age_s"] < 600.0
        for name in ("Ada", "ada@example.org", "Invalidenstrasse"):
            assert name not in (await browser.get(f"/ops/actors/{hold}")).text


async def test_a_restart_that_takes_the_pages_away_says_so_before(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        browser = await let_in(system)
        said = "for a moment nothing answers"
        assert said in (await browser.get("/ops/actors/ordermill/http-gateway")).text
        for path in ("ordermill/order-events/http-order-events", WRITER, LANES):
            assert said not in (await browser.get(f"/ops/actors/{path}")).text


async def test_a_batch_that_is_worked_on_is_shown_before_what_waits(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        parts = system.running.system.order_events
        assert parts is not None
        told: list[ActorReply] = []
        commit = parts.database.write_all

        async def watched(works: Sequence[Work[object]]) -> list[object | Exception]:
            told.append(await system.running.system.tree_desk.look(WRITER))
            return await commit(works)

        parts.database.write_all = watched  # type: ignore[method-assign,assignment]
        await system.place()
        (row,) = told[0].waiting or []
        assert (row.type, row.state) == ("place-order", "in work")
        assert row.age_s is not None
        assert row.age_s < parts.deadline_s
        await system.quiet()
        assert (await system.running.system.tree_desk.look(WRITER)).waiting == []


async def test_what_the_shipping_desk_works_on_can_be_looked_into(tmp_path: Path) -> None:
    async with live_system(tmp_path) as system:
        shipping = system.running.system.shipping
        assert shipping is not None
        assert (await system.running.system.tree_desk.look(DESK)).waiting == []
        order = await system.place()
        await order.wait_for("shipping-prepared")
        parts = system.running.system.order_events
        assert parts is not None
        told: list[ActorReply] = []
        commit = parts.database.write_all

        async def watched(works: Sequence[Work[object]]) -> list[object | Exception]:
            told.append(await system.running.system.tree_desk.look(DESK))
            return await commit(works)

        parts.database.write_all = watched  # type: ignore[method-assign,assignment]
        await order.ship()
        shown = [(row.type, row.lane, row.state) for reply in told for row in reply.waiting or []]
        assert shown == [("shipped", order.id, "in work")]
