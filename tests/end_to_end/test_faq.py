"""The specification's questions and answers, each played with real brokers and a foreign client."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pika
import pytest

from actors.parties import Parties
from runtime import sqlite
from runtime.amqp.consumer import Consumer
from runtime.child import ChildContext
from tests.harness.books import assert_prepared_once, books_of, dead_letters, logged
from tests.harness.foreign import Foreigner, Found, foreigner
from tests.harness.parties import Gate, WilfulProvider
from tests.harness.system import LiveSystem, Wrap, live_system
from tests.harness.waiting import eventually, until

NEVER = 3600  # a delay, in seconds, that no test waits for: the test itself ends it
DELAYED = f"payment.retry.{NEVER}s"


def wilful(providers: list[WilfulProvider]) -> Wrap:
    """Put a provider that can be made to misbehave around the real one, and into ``providers``."""

    def wrap(parties: Parties) -> Parties:
        providers.append(WilfulProvider(parties.provider))
        return msgspec.structs.replace(parties, provider=providers[-1])

    return wrap


# "If the event is malformed and there is nothing a consuming application can do to process this
# event, then the event gets discarded."

GOOD = {"order_id": "ord_X", "version": 1, "data": {}}


def properties(message_id: str | None, kind: str = "order-created/v1") -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        message_id=message_id,
        correlation_id="cor_1",
        app_id="somebody-else",
        type=kind,
        timestamp=1_790_000_000,
    )


MALFORMED = {
    "evt_BAD_JSON": (properties("evt_BAD_JSON"), b'{"order_id": ', "malformed"),
    "evt_NO_ORDER": (properties("evt_NO_ORDER"), b'{"version": 1, "data": {}}', "malformed"),
    "evt_V9": (
        properties("evt_V9", "order-created/v9"),
        json.dumps(GOOD).encode(),
        "unknown-version",
    ),
    "evt_TYPE": (properties("evt_TYPE", "order"), json.dumps(GOOD).encode(), "malformed"),
    "": (properties(None), json.dumps(GOOD).encode(), "malformed"),
}


async def test_a_malformed_message_is_set_aside_with_its_reason_and_the_next_one_is_processed(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url) as system:
        client = foreigner(system, broker_url)
        for bad, body, _ in MALFORMED.values():
            await client.send("orders", "orders.order-created", body, bad)
        order = await system.place()
        await assert_prepared_once(system, order.id)

        async def all_set_aside() -> bool:
            count = len(MALFORMED)
            return await dead_letters(client) == {
                "payment.dead": count,
                "notification.dead": count,
            }

        await eventually(all_set_aside)
        for queue in ("payment", "notification"):
            found = {_name(letter): letter for letter in await client.peek(f"{queue}.dead")}
            assert found.keys() == MALFORMED.keys()
            for name, (_, body, reason) in MALFORMED.items():
                assert found[name].body == body
                assert found[name].headers["x-reason"] == reason
                assert found[name].headers["x-origin-queue"] == queue
        assert await client.ready(["payment", "notification"]) == {"payment": 0, "notification": 0}


def _name(letter: Found) -> str:
    """Return the id it was sent with; one without gets an id that its bytes determine."""
    message_id = str(letter.properties.message_id)
    return "" if message_id.startswith("bad_") else message_id


# "If the event fails to be processed but can be retried at a later time, the event is re-queued and
# processed at a later time." And: "re-queued events can be identified via message properties".


async def test_what_fails_is_requeued_with_a_mark_and_unmarked_duplicates_of_it_are_discarded(
    tmp_path: Path, broker_url: str
) -> None:
    providers: list[WilfulProvider] = []
    async with live_system(
        tmp_path,
        broker_url,
        wrap=wilful(providers),
        retry={"tiers_s": [NEVER]},
        payment={"sweep_s": 3600.0},
    ) as system:
        (provider,) = providers
        provider.unreachable["authorise"] = 2
        client = foreigner(system, broker_url)
        order = await system.place()
        for attempt in (1, 2):
            copy = await client.take(DELAYED)
            (created,) = [
                e for e in await system.events(order.id) if e.type.name == "order-created"
            ]
            assert (copy.properties.message_id, copy.properties.type) == (
                created.id,
                "order-created/v1",
            )
            assert copy.headers["x-requeued"] is True
            assert copy.headers["x-attempt"] == attempt
            await assert_discarded(system, client, unmarked(copy))
            assert provider.calls.count(("authorise", provider.calls[0][1])) == attempt
            await client.send("", "payment", copy.body, copy.properties)
        await assert_prepared_once(system, order.id)
        # Done is done: now even the marked copy is a true duplicate.
        await assert_discarded(system, client, unmarked(copy))
        await assert_discarded(system, client, copy)
        await assert_prepared_once(system, order.id)
        assert await dead_letters(client) == {}


def unmarked(copy: Found) -> Found:
    bare = properties(copy.properties.message_id)
    return Found(copy.exchange, copy.routing_key, bare, copy.body)


async def assert_discarded(system: LiveSystem, client: Foreigner, duplicate: Found) -> None:
    def discarded() -> int:
        message_id = duplicate.properties.message_id
        return len(logged(system, "message.duplicate", queue="payment", message_id=message_id))

    before = discarded()
    await client.send("", "payment", duplicate.body, duplicate.properties)
    await until(lambda: discarded() == before + 1)


async def test_a_true_duplicate_of_every_event_changes_nothing(
    tmp_path: Path, broker_url: str
) -> None:
    async with live_system(tmp_path, broker_url) as system:
        client = foreigner(system, broker_url)
        order = await system.place()
        await assert_prepared_once(system, order.id)
        published = [event for event in await system.events(order.id) if event.type.exchange]
        assert len(published) == 2
        for event in published:
            row = event.type
            again = properties(event.id, row.message_type)
            body = json.dumps({"order_id": order.id, "version": event.version, "data": {}})
            await client.send(str(row.exchange), row.routing_key, body.encode(), again)
        # order-created goes to payment and notification, payment-captured to shipping
        await until(lambda: len(logged(system, "message.duplicate")) == 3)
        await assert_prepared_once(system, order.id)
        assert await dead_letters(client) == {}


async def test_retried_until_the_provider_answers_and_no_finished_step_is_repeated(
    tmp_path: Path, broker_url: str
) -> None:
    providers: list[WilfulProvider] = []
    async with live_system(tmp_path, broker_url, wrap=wilful(providers)) as system:
        (provider,) = providers
        provider.unreachable["authorise"] = 1
        provider.unreachable["capture"] = 1
        provider.reply_lost["capture"] = 1
        order = await system.place()
        await assert_prepared_once(system, order.id)
        attempts = [line["attempt"] for line in logged(system, "message.retry", queue="payment")]
    assert attempts == [1, 2, 3]


# "If the consuming application is down, the event will not be delivered to it and will remain
# queued."


async def test_what_happens_while_the_consumers_are_down_waits_in_their_queues(
    tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(_: Consumer, context: ChildContext) -> None:
        context.started()
        await context.stopping.wait()

    with monkeypatch.context() as patch:
        patch.setattr(Consumer, "run", down)
        async with live_system(tmp_path, broker_url) as system:
            orders = [await system.place() for _ in range(3)]
            client = foreigner(system, broker_url)

            async def queued() -> bool:
                return await client.ready(["payment", "notification"]) == {
                    "payment": 3,
                    "notification": 3,
                }

            await eventually(queued)
            assert [await order.types() for order in orders] == [["order-created"]] * 3
    async with live_system(tmp_path, broker_url) as system:
        for order in orders:
            await assert_prepared_once(system, order.id)
        assert await dead_letters(foreigner(system, broker_url)) == {}


# "If the consuming application cannot write to the event store after processing an event, it would
# re-queue the event and process it at a later time (any actions that were completed in the previous
# run would be skipped)."


@contextmanager
def unwritable(store: Path) -> Iterator[None]:
    """Hold the store's write lock, as a backup tool that misbehaves would."""
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


async def test_charged_and_then_the_store_cannot_be_written_the_card_is_not_charged_again(
    tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = tuple(p for p in sqlite._WRITER_PRAGMAS if "busy_timeout" not in p)
    monkeypatch.setattr(sqlite, "_WRITER_PRAGMAS", ("busy_timeout=50", *quick))
    providers: list[WilfulProvider] = []
    gate = Gate()
    async with live_system(
        tmp_path, broker_url, wrap=wilful(providers), payment={"sweep_s": 3600.0}
    ) as system:
        providers[0].gates["capture"] = gate
        order = await system.place()
        await gate.reached.wait()
        with unwritable(tmp_path / "orders.db"):
            gate.open()
            await until(lambda: logged(system, "message.retry", queue="payment"))
            charged = await books_of(system, order.id)
            types = await order.types()
        await assert_prepared_once(system, order.id)
        assert await dead_letters(foreigner(system, broker_url)) == {}
    assert charged.moves == ["authorise", "capture"]
    assert types == ["order-created", "payment-auth-in-progress"]
