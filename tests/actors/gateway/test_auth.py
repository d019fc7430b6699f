"""Tokens: who may read, who may change, and what strangers cannot tell."""

import sys
from collections import Counter
from collections.abc import Sequence
from types import FrameType
from typing import Any

import pytest

from actors.gateway.auth import Authority
from actors.gateway.operations import OPERATIONS
from runtime.errors import Rejection
from tests.harness.gateway import NOW_S, OPERATOR, SECRET, VIEWER, World

OTHER_ID = "ord_" + "0" * 26


def authority(secret: str = SECRET, now_s: float = NOW_S) -> Authority:
    return Authority(
        secret=secret, operator_token="op", viewer_token="", ttl_s=100.0, wall=lambda: now_s
    )


def test_an_orders_token_is_always_the_same_and_opens_no_other_order() -> None:
    token = authority().access_token(OTHER_ID, int(NOW_S * 1000))
    assert token == authority().access_token(OTHER_ID, int(NOW_S * 1000))
    found = authority().guest(OTHER_ID, token)
    assert found is not None
    assert (found.kind, found.name, found.rights) == ("guest", f"guest:{OTHER_ID}", "edit")
    assert authority().guest("ord_" + "1" * 26, token) is None
    assert authority("another-secret").guest(OTHER_ID, token) is None


def test_rights_and_expiry_are_part_of_what_is_signed() -> None:
    token = authority().access_token(OTHER_ID, int(NOW_S * 1000), "read")
    assert authority().guest(OTHER_ID, token.replace("read", "edit")) is None
    rights, expires, mac = token.split(".")
    assert authority().guest(OTHER_ID, f"{rights}.{int(expires) + 1}.{mac}") is None


def test_an_expired_token_is_refused_and_says_so() -> None:
    token = authority().access_token(OTHER_ID, int(NOW_S * 1000))
    assert authority(now_s=NOW_S + 100).guest(OTHER_ID, token) is not None
    with pytest.raises(Rejection) as refused:
        authority(now_s=NOW_S + 101).guest(OTHER_ID, token)
    assert refused.value.code == "unauthorized"


def test_an_empty_staff_token_opens_nothing() -> None:
    assert authority().staff("") is None
    found = authority().staff("op")
    assert found is not None
    assert found.kind == "operator"


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer ", "edit.1.x", "Bearer é"])
async def test_without_a_valid_token_an_order_is_closed(world: World, header: str) -> None:
    placed = await world.place()
    answer = await world.call("GET", placed.path, headers={"Authorization": header})
    assert answer.status == (404 if header == "Bearer é" else 401)
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if answer.status == 401 else None)


async def test_a_missing_token_is_401(world: World) -> None:
    placed = await world.place()
    answer = await world.call("GET", placed.path)
    assert (answer.status, answer.slug) == (401, "unauthorized")


OF_AN_ORDER = [row for row in OPERATIONS if "{order_id}" in row.path]


@pytest.mark.parametrize("token", ["another order's", "nobody's", "a forged", "none"])
async def test_somebody_elses_order_looks_like_none_and_costs_the_same(
    world: World, token: str
) -> None:
    """What is counted is work: every line of ours that runs, from the first to the last."""
    mine, theirs = await world.place(), await world.place()
    auth = {
        "another order's": mine.auth,
        "nobody's": {"Authorization": "Bearer nothing"},
        "a forged": {"Authorization": theirs.auth["Authorization"][:-4] + "AAAA"},
        "none": {},
    }[token]
    there, not_there = Work(world), Work(world)
    # What a process does once, at its first such request, is no part of what one costs.
    for work, order_id in ((Work(world), OTHER_ID), (there, theirs.id), (not_there, OTHER_ID)):
        for row in OF_AN_ORDER:
            await work.of(row.method, row.path.replace("{order_id}", order_id), auth)
    expected = (401, "unauthorized") if token == "none" else (404, "not-found")
    assert there.answers == [expected] * len(OF_AN_ORDER)
    assert there.answers == not_there.answers
    assert there.bodies == not_there.bodies
    assert there.lines == not_there.lines
    assert sum(there.lines.values()) > 100
    assert not there.asked


class Work:
    """What requests cost and what they got."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.lines: Counter[tuple[str, int]] = Counter()
        self.answers: list[tuple[int, str]] = []
        self.bodies: list[object] = []

    async def of(self, method: str, path: str, auth: dict[str, str]) -> None:
        """Send a request, and count the lines of ``actors`` that it runs."""
        sys.settrace(self._trace)
        try:
            answer = await self._world.call(method, path, headers=auth)
        finally:
            sys.settrace(None)
        self.answers.append((answer.status, answer.slug))
        self.bodies.append({**answer.json, "request_id": ""})

    @property
    def asked(self) -> bool:
        """Whether the Order Event Service was asked anything."""
        return any(file.endswith("/order_events/client.py") for file, _ in self.lines)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if "/actors/" not in frame.f_code.co_filename or "/tests/" in frame.f_code.co_filename:
            return None
        if event == "line":
            self.lines[frame.f_code.co_filename, frame.f_lineno] += 1
        return self._trace


async def test_the_count_of_work_sees_who_is_asked_and_what_differs(world: World) -> None:
    placed = await world.place()
    refused, again, asked = Work(world), Work(world), Work(world)
    for work, query in ((refused, "after=x"), (again, "after=x"), (asked, "after=99&limit=0")):
        await work.of("GET", f"{placed.path}/events?{query}", placed.auth)
    assert refused.lines == again.lines != asked.lines
    assert not refused.asked
    found = Work(world)
    with pytest.raises(AssertionError):
        await found.of("GET", placed.path, placed.auth)  # no refusal
    assert found.asked


@pytest.mark.parametrize("order_id", ["ord_1", "x", "ord_" + "0" * 27, "%00", "4242424242424242"])
async def test_what_is_no_order_id_is_not_found_nor_looked_for(
    world: World, order_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(type(world.parts.client("gateway")), "order")
    for auth in (OPERATOR, {"Authorization": "Bearer nothing"}):
        answer = await world.call("GET", f"/v1/orders/{order_id}", headers=auth)
        assert (answer.status, answer.slug) == (404, "not-found")
        assert "instance" not in answer.json


async def test_a_viewer_reads_and_changes_nothing(world: World) -> None:
    placed = await world.place()
    assert (await world.call("GET", placed.path, headers=VIEWER)).status == 200
    changes: Sequence[tuple[str, str]] = [
        ("POST", f"{placed.path}/cancellation"),
        ("PUT", f"{placed.path}/payment"),
        ("PUT", f"{placed.path}/shipping-address"),
        ("POST", "/v1/orders"),
    ]
    for method, path in changes:
        answer = await world.call(method, path, {}, VIEWER)
        assert (answer.status, answer.slug) == (403, "forbidden"), path


async def test_an_unknown_token_places_no_order(world: World) -> None:
    answer = await world.call("POST", "/v1/orders", {}, {"Authorization": "Bearer who"})
    assert (answer.status, answer.slug) == (401, "unauthorized")
