"""Reading orders over HTTP: as they are, as they were, their history, the list."""

from pathlib import Path

import pytest

from tests.harness.gateway import OPERATOR, PAID, PREPARED, VIEWER, World, gateway_world


async def test_an_order_reads_as_it_was_placed(world: World) -> None:
    placed = await world.place()
    answer = await world.call("GET", placed.path, headers=placed.auth)
    assert answer.status == 200
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Cache-Control"] == "no-store"
    shown = dict(placed.reply)
    del shown["access_token"]
    assert answer.json == shown


async def test_a_known_version_is_not_sent_again(world: World) -> None:
    placed = await world.place()
    for known in ('"1"', 'W/"1"', '"0", "1"', "*"):
        headers = {**placed.auth, "If-None-Match": known}
        answer = await world.call("GET", placed.path, headers=headers)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["ETag"] == '"1"'
        assert "Request-Id" in answer.headers
    await world.advance(placed.id, *PAID)
    headers = {**placed.auth, "If-None-Match": '"1"'}
    answer = await world.call("GET", placed.path, headers=headers)
    assert (answer.status, answer.headers["ETag"]) == (200, '"3"')


async def test_an_order_reads_as_it_was_at_a_version_or_time(world: World) -> None:
    placed = await world.place()
    world.clock.now_s += 60
    await world.advance(placed.id, *PREPARED)
    now = await world.call("GET", placed.path, headers=placed.auth)
    assert (now.json["status"], now.json["version"]) == ("prepared", 5)
    for at in ("1", "2026-09-21T14:13:30Z", "2026-09-21T16:13:30+02:00"):
        then = await world.call("GET", f"{placed.path}?at={at}", headers=placed.auth)
        assert (then.json["status"], then.headers["ETag"]) == ("placed", '"1"')
    before = await world.call("GET", f"{placed.path}?at=2020-01-01T00:00:00Z", headers=placed.auth)
    assert (before.status, before.slug) == (404, "not-found")


@pytest.mark.parametrize("at", ["0", "-1", "x", "", "99999999999", "2026-09-21", "%D9%A3"])
async def test_a_moment_that_is_none_is_refused(world: World, at: str) -> None:
    placed = await world.place()
    answer = await world.call("GET", f"{placed.path}?at={at}", headers=placed.auth)
    assert (answer.status, answer.slug) == (422, "validation-failed")
    assert answer.json["errors"][0]["parameter"] == "at"


async def test_events_have_the_names_of_the_message_properties(world: World) -> None:
    placed = await world.place()
    await world.advance(placed.id, *PAID)
    answer = await world.call("GET", f"{placed.path}/events", headers=placed.auth)
    first, second, third = answer.json["data"]
    assert first["type"] == "order-created/v1"
    assert list(first) == [
        "id",
        "type",
        "order_id",
        "version",
        "position",
        "time",
        "app_id",
        "correlation_id",
        "order_correlation",
        "published",
        "data",
    ]
    assert [event["published"] for event in (first, second, third)] == [True, False, True]
    assert second["data"] == {"attempt": 1}
    assert third["app_id"] == "payment-service"


async def test_events_come_in_pages(world: World) -> None:
    placed = await world.place()
    await world.advance(placed.id, *PREPARED)
    path = f"{placed.path}/events"
    page = await world.call("GET", f"{path}?after=1&limit=2", headers=placed.auth)
    assert [event["version"] for event in page.json["data"]] == [2, 3]
    end = await world.call("GET", f"{path}?after=5", headers=placed.auth)
    assert end.json == {"data": []}
    for query in ("after=-1", "limit=0", "limit=101", "limit=x"):
        answer = await world.call("GET", f"{path}?{query}", headers=placed.auth)
        assert (answer.status, answer.slug) == (422, "validation-failed")


async def test_the_list_is_newest_first_and_pages_without_overlap(world: World) -> None:
    ids = [(await world.place()).id for _ in range(5)]
    seen: list[str] = []
    path = "/v1/orders?limit=2"
    for more in (True, True, False):
        page = (await world.call("GET", path, headers=VIEWER)).json
        seen.extend(row["id"] for row in page["data"])
        assert page["has_more"] is more
        path = f"/v1/orders?limit=2&cursor={page['next_cursor']}"
    assert seen == ids[::-1]
    full = (await world.call("GET", "/v1/orders?limit=5", headers=OPERATOR)).json
    assert (len(full["data"]), full["has_more"], full["next_cursor"]) == (5, False, None)


async def test_the_list_is_filtered(world: World) -> None:
    first = await world.place()
    world.clock.now_s += 60
    second = await world.place(customer={"name": "Bob", "email": "bob@example.org"})
    await world.advance(second.id, *PAID)
    for query, expected in [
        ("status=paid", [second.id]),
        ("status=placed", [first.id]),
        ("email=Bob@example.org", [second.id]),
        ("email=nobody@example.org", []),
        ("since=2026-09-21T14:13:30Z", [second.id]),
        ("since=2026-09-21T14:13:30Z&status=placed", []),
    ]:
        page = (await world.call("GET", f"/v1/orders?{query}", headers=OPERATOR)).json
        assert [row["id"] for row in page["data"]] == expected, query
    row = (await world.call("GET", "/v1/orders?status=paid", headers=OPERATOR)).json["data"][0]
    assert row == {
        "id": second.id,
        "number": second.reply["number"],
        "version": 3,
        "status": "paid",
        "total": {"amount": 4890, "currency": "EUR"},
        "created_at": "2026-09-21T14:14:20.000Z",
        "updated_at": "2026-09-21T14:14:20.000Z",
        "links": second.reply["links"],
    }


@pytest.mark.parametrize("query", ["status=lost", "since=yesterday", "cursor=x", "limit=1000"])
async def test_a_filter_that_is_none_is_refused(world: World, query: str) -> None:
    answer = await world.call("GET", f"/v1/orders?{query}", headers=OPERATOR)
    assert (answer.status, answer.slug) == (422, "validation-failed")


async def test_only_staff_sees_the_list(world: World) -> None:
    placed = await world.place()
    assert (await world.call("GET", "/v1/orders")).status == 401
    assert (await world.call("GET", "/v1/orders", headers=placed.auth)).status == 401


async def test_a_store_that_cannot_answer_is_503_with_a_time_to_retry(tmp_path: Path) -> None:
    async with gateway_world(tmp_path) as world:
        placed = await world.place()
    # Its database is closed now, and its writer has stopped.
    answer = await world.call("GET", f"{placed.path}/events", headers=placed.auth)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.slug in ("service-unavailable", "store-unavailable")
