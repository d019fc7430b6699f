"""What an answer points to is there: links, addresses, types of problems, paths in sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from quart import Quart
from werkzeug.exceptions import MethodNotAllowed, NotFound

from actors.gateway.context import Mode
from actors.gateway.problem_table import PROBLEMS
from tests.harness.gateway import (
    ADDRESS,
    OPERATOR,
    ORDER,
    PREPARED,
    Answer,
    World,
    gateway_world,
)

_PATH = re.compile(r"(?<![\w/.#])(?:(?P<method>GET|POST|PUT) )?(?P<path>/(?:v1|problems)?[\w/.-]*)")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _paths(text: str) -> Iterator[tuple[str | None, str]]:
    for found in _PATH.finditer(text):
        yield found["method"], found["path"].rstrip(".")


def _is_there(app: Quart, method: str | None, path: str) -> bool:
    try:
        app.url_map.bind("localhost").match(path, method or "GET")
    except MethodNotAllowed:
        return method is None
    except NotFound:
        return False
    return True


async def _answers(world: World) -> list[Answer]:
    placed = await world.place()
    await world.advance(placed.id, "payment-auth-in-progress")
    refused = {**ORDER, "payment": {"token": "pm_nope"}}
    shipped = {"carrier": "DHL", "tracking": "JD0001"}
    calls: list[tuple[str, str, object, dict[str, str]]] = [
        ("GET", placed.path, None, placed.auth),
        ("GET", f"{placed.path}/events", None, placed.auth),
        ("GET", "/v1/orders", None, OPERATOR),
        ("GET", "/v1/products", None, {}),
        ("GET", "/v1/test-cards", None, {}),
        ("GET", "/nowhere", None, {}),
        ("PUT", f"{placed.path}/payment", {"token": "pm_card_visa"}, placed.auth),
        ("PUT", f"{placed.path}/shipping-address", ADDRESS, placed.auth),
        ("POST", f"{placed.path}/shipment", shipped, OPERATOR),
        ("POST", f"{placed.path}/cancellation", {}, placed.auth),
        ("POST", "/v1/orders", refused, {}),
        *(("GET", f"/problems/{slug}", None, {}) for slug in PROBLEMS),
    ]
    return [placed.answer, *[await world.call(*call) for call in calls]]


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_what_an_answer_points_to_is_there(tmp_path: Path, mode: Mode) -> None:
    seen: set[str] = set()
    async with gateway_world(tmp_path, mode=mode) as world:
        for answer in await _answers(world):
            place = answer.headers.get("Location", "/healthz")
            for text in (*_texts(answer.json), place):
                for method, path in _paths(text):
                    elsewhere = mode == "live" and "in test mode" in text
                    assert _is_there(world.app, method, path) or elsewhere, text
                    seen.add(re.sub("ord_[0-9A-Z]{26}", "ID", path))
    assert {"/v1/orders/ID", "/v1/orders/ID/events", "/v1/orders/ID/events/stream"} <= seen
    assert {f"/problems/{slug}" for slug in PROBLEMS} <= seen


async def test_the_links_of_a_prepared_order_work(world: World) -> None:
    placed = await world.place()
    await world.advance(placed.id, *PREPARED)
    reply = (await world.call("GET", placed.path, headers=placed.auth)).json
    for name in ("self", "events"):
        answer = await world.call("GET", reply["links"][name], headers=placed.auth)
        assert answer.status == 200
    stream = await world.call("HEAD", reply["links"]["stream"], headers=placed.auth)
    assert stream.status == 200
