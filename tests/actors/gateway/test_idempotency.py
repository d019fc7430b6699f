"""Idempotency keys: what counts as the same request, and that it gets the same answer."""

import doctest
from datetime import date, time
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from actors.domain.cards import CARDS_BY_TOKEN
from actors.domain.order_events import CancelOrder, Intent, Receipt
from actors.domain.values import Money
from actors.gateway import idempotency
from actors.gateway.auth import GUEST
from actors.gateway.catalogue import Catalogue, Product
from actors.gateway.idempotency import Intents, names_card_number, parse_key
from actors.gateway.requests import Card
from actors.order_events.client import LocalOrderEvents
from runtime.errors import Rejection
from tests.harness.gateway import (
    ADDRESS,
    CARD,
    OPERATOR,
    ORDER,
    SECRET,
    Answer,
    World,
    gateway_world,
)
from tests.harness.order_events import order_events_parts

KEY = {"Idempotency-Key": "3f0c9a56-once"}


async def test_a_repeated_order_is_answered_as_the_first_was(world: World) -> None:
    first = await world.call("POST", "/v1/orders", ORDER, KEY)
    again = await world.call("POST", "/v1/orders", ORDER, {"Idempotency-Key": '"3f0c9a56-once"'})
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["Idempotent-Replayed"] == "true"
    for name in ("Location", "ETag", "Content-Type", "Cache-Control"):
        assert again.headers[name] == first.headers[name]
    assert "Idempotent-Replayed" not in first.headers
    assert len((await world.call("GET", "/v1/orders", headers=OPERATOR)).json["data"]) == 1


async def test_a_repetition_before_the_first_answer_waits_for_it(world: World) -> None:
    answers: list[Answer] = []

    async def place() -> None:
        answers.append(await world.call("POST", "/v1/orders", ORDER, KEY))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(place)
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    replayed = [answer for answer in answers if "Idempotent-Replayed" in answer.headers]
    assert len(replayed) == 4


async def test_a_replay_shows_the_order_as_it_was_then(world: World) -> None:
    first = await world.call("POST", "/v1/orders", ORDER, KEY)
    await world.advance(first.json["id"], "payment-auth-in-progress", "payment-captured")
    world.clock.now_s += 3600
    again = await world.call("POST", "/v1/orders", ORDER, KEY)
    assert again.body == first.body


async def test_two_keys_are_none(world: World) -> None:
    headers = Headers([("Idempotency-Key", "one"), ("Idempotency-Key", "two")])
    answer = await world.call("POST", "/v1/orders", ORDER, headers)
    assert (answer.status, answer.slug) == (422, "validation-failed")


async def test_another_spelling_of_the_same_body_is_the_same_request(world: World) -> None:
    first = await world.call("POST", "/v1/orders", ORDER, KEY)
    shuffled = {name: ORDER[name] for name in reversed(ORDER)}
    again = await world.call("POST", "/v1/orders", shuffled, KEY)
    assert again.body == first.body


async def test_another_body_under_the_key_is_refused_and_not_counted_as_first(world: World) -> None:
    await world.call("POST", "/v1/orders", ORDER, KEY)
    other = {**ORDER, "payment": {"card": {**CARD, "number": "4000000000000002"}}}
    answer = await world.call("POST", "/v1/orders", other, KEY)
    assert (answer.status, answer.slug) == (422, "idempotency-key-reused")
    assert 'ordermill_idempotency_total{result="reused"} 1.0' in world.metrics()
    assert 'ordermill_idempotency_total{result="first"} 1.0' in world.metrics()


async def test_an_invalid_request_does_not_use_its_key_up(world: World) -> None:
    answer = await world.call("POST", "/v1/orders", {**ORDER, "items": []}, KEY)
    assert answer.status == 422
    assert (await world.call("POST", "/v1/orders", ORDER, KEY)).status == 201


async def test_changes_and_refusals_are_replayed_too(world: World) -> None:
    placed = await world.place()
    headers = {**placed.auth, **KEY}
    calls: list[tuple[str, str, object]] = [
        ("PUT", "payment", {"token": "pm_card_slow"}),
        ("PUT", "shipping-address", {**ADDRESS, "city": "Berlin"}),
        ("POST", "cancellation", {}),
    ]
    firsts = [await world.call(m, f"{placed.path}/{p}", b, headers) for m, p, b in calls]
    agains = [await world.call(m, f"{placed.path}/{p}", b, headers) for m, p, b in calls]
    assert [answer.status for answer in firsts] == [200, 200, 200]
    assert [answer.body for answer in agains] == [answer.body for answer in firsts]
    assert all(answer.headers["Idempotent-Replayed"] == "true" for answer in agains)
    late = {**placed.auth, "Idempotency-Key": "late"}
    refused = [await world.call("POST", f"{placed.path}/cancellation", {}, late) for _ in range(2)]
    assert [answer.slug for answer in refused] == ["order-already-cancelled"] * 2
    assert refused[1].headers["Idempotent-Replayed"] == "true"
    first, again = ({**answer.json, "request_id": ""} for answer in refused)
    assert first == again


async def test_a_key_belongs_to_its_caller_and_route(world: World) -> None:
    one, two = await world.place(), await world.place()
    for placed in (one, two):
        headers = {**placed.auth, **KEY}
        answer = await world.call("POST", f"{placed.path}/cancellation", {}, headers)
        assert "Idempotent-Replayed" not in answer.headers
    by_operator = await world.call("POST", "/v1/orders", ORDER, {**OPERATOR, **KEY})
    by_guest = await world.call("POST", "/v1/orders", ORDER, KEY)
    assert by_operator.json["id"] != by_guest.json["id"]


EXPIRES_SOON = {"payment": {"card": {**CARD, "exp_year": 2026, "exp_month": 9}}}
MONTH_S = 31 * 86_400


async def test_an_order_is_replayed_after_its_card_has_expired(world: World) -> None:
    body = {**ORDER, **EXPIRES_SOON}
    first = await world.call("POST", "/v1/orders", body, KEY)
    world.clock.now_s += MONTH_S
    again = await world.call("POST", "/v1/orders", body, KEY)
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert 'ordermill_idempotency_total{result="replayed"} 1.0' in world.metrics()
    for headers in ({}, {"Idempotency-Key": "another"}):
        answer = await world.call("POST", "/v1/orders", body, headers)
        assert (answer.status, answer.slug) == (422, "payment-method-invalid")
    assert 'ordermill_idempotency_total{result="first"} 1.0' in world.metrics()


def _catalogue(price: int, *skus: str) -> Catalogue:
    money = Money(price, "EUR")
    return Catalogue(Product(sku, "New name", "Another one.", money) for sku in skus)


@pytest.mark.parametrize("now", [_catalogue(1, "MUG-1", "TEA-1"), _catalogue(1450, "CUP-1")])
async def test_an_order_is_replayed_after_the_catalogue_has_changed(
    tmp_path: Path, now: Catalogue
) -> None:
    body = {**ORDER, "expected_total": {"amount": 4890, "currency": "EUR"}}
    async with gateway_world(tmp_path) as world:
        first = await world.call("POST", "/v1/orders", body, KEY)
        assert first.status == 201
    async with gateway_world(tmp_path, catalogue=now) as world:
        again = await world.call("POST", "/v1/orders", body, KEY)
        assert (again.status, again.body) == (201, first.body)
        assert (await world.call("POST", "/v1/orders", body)).status == 422


async def test_a_payment_change_and_its_refusal_are_replayed_after_the_card_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await world.place()
    path, body = f"{placed.path}/payment", {"token": "pm_card_slow"}
    firsts = []
    for key in ("changed", "locked"):
        headers = {**placed.auth, "Idempotency-Key": key}
        firsts.append(await world.call("PUT", path, body, headers))
        if key == "changed":
            await world.advance(placed.id, "payment-auth-in-progress")
    assert [first.status for first in firsts] == [200, 409]
    monkeypatch.delitem(CARDS_BY_TOKEN, "pm_card_slow")
    for key, first in zip(("changed", "locked"), firsts, strict=True):
        headers = {**placed.auth, "Idempotency-Key": key}
        again = await world.call("PUT", path, body, headers)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.status == first.status
        assert {**again.json, "request_id": ""} == {**first.json, "request_id": ""}
    answer = await world.call("PUT", path, body, placed.auth)
    assert (answer.status, answer.slug) == (422, "payment-method-invalid")


async def test_another_body_that_is_refused_anyway_is_told_of_the_key_first(world: World) -> None:
    await world.call("POST", "/v1/orders", ORDER, KEY)
    other = {**ORDER, "payment": {"token": "pm_nope"}}
    answer = await world.call("POST", "/v1/orders", other, KEY)
    assert (answer.status, answer.slug) == (422, "idempotency-key-reused")


async def test_whether_a_request_was_decided_is_asked_only_where_it_matters(tmp_path: Path) -> None:
    class Unasked(LocalOrderEvents):
        asked = 0

        async def replay(self, intent: Intent) -> Receipt | None:
            self.asked += 1
            return await super().replay(intent)

    async with order_events_parts(tmp_path) as parts:
        order_events = Unasked(
            parts.ref, parts.database, parts.wakeups, parts.latest, service="gateway"
        )
        async with gateway_world(tmp_path / "gateway", order_events=order_events) as world:
            await world.call("POST", "/v1/orders", ORDER, KEY)
            await world.call("POST", "/v1/orders", ORDER, KEY)
            refused = {**ORDER, "payment": {"token": "pm_nope"}}
            assert (await world.call("POST", "/v1/orders", refused)).status == 422
            assert order_events.asked == 0
            assert (await world.call("POST", "/v1/orders", refused, KEY)).status == 422
            assert order_events.asked == 1


async def test_a_request_whose_client_hung_up_is_found_again(tmp_path: Path) -> None:
    async with gateway_world(tmp_path) as world:
        first = await world.call("POST", "/v1/orders", ORDER, KEY)
    async with gateway_world(tmp_path) as world:
        again = await world.call("POST", "/v1/orders", ORDER, KEY)
        assert (again.status, again.body) == (201, first.body)


@pytest.mark.parametrize(
    ("value", "key"),
    [(None, None), ("abc", "abc"), ('"abc"', "abc"), ('"', '"'), ('""', '""')],
)
def test_quoted_and_bare_keys_are_equal(value: str | None, key: str | None) -> None:
    assert parse_key(value) == key


@pytest.mark.parametrize(
    "value",
    [
        *("", "a b", "é", "a" * 256, '"a", "b"', "4242424242424242", "o:4242-4242-4242-4242"),
        *("4242424242424242-1", "2026-11-27-4242424242424242", "7-4242-4242-4242-4242-7"),
    ],
)
def test_a_key_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(Rejection) as refused:
        parse_key(value)
    assert refused.value.status_hint == 422
    assert "4242" not in str(refused.value)


@given(st.uuids() | st.binary(min_size=8, max_size=32).map(bytes.hex))
def test_random_ids_are_never_taken_for_card_numbers(id_: object) -> None:
    if not str(id_).isdigit():
        assert not names_card_number(str(id_))


def test_its_examples_are_true() -> None:
    assert doctest.testmod(idempotency) == doctest.TestResults(0, 4)


@given(st.integers(10**12, 2 * 10**12) | st.integers(10**18, 2 * 10**18))
def test_times_and_snowflakes_may_be_keys(number: int) -> None:
    assert parse_key(str(number)) == str(number)


@given(st.dates(date(1970, 1, 1), date(2999, 12, 31)), st.times())
def test_a_time_in_parts_may_be_a_key(day: date, at: time) -> None:
    key = f"{day:%Y-%m-%d}-{at:%H-%M-%S}-1"
    assert parse_key(key) == key


def test_neither_keys_nor_bodies_can_be_read_back_from_an_intent() -> None:
    body = Card("4242424242424242", 12, 2099, "123")
    intent = Intents(SECRET).intent(GUEST, "POST /x", body, key="secret-key", correlation_id="req")
    assert "secret-key" not in repr(intent)
    assert "4242" not in repr(intent) + repr(body)
    other = Intents("another").intent(GUEST, "POST /x", body, key="secret-key", correlation_id="r")
    assert (intent.key, intent.fingerprint) != (other.key, other.fingerprint)


def test_without_a_key_there_is_no_fingerprint() -> None:
    body = CancelOrder("ord_1", "customer")
    intent = Intents(SECRET).intent(GUEST, "POST /x", body, key=None, correlation_id="req")
    assert (intent.key, intent.fingerprint) == (None, None)
