"""The AsyncAPI document: valid by AsyncAPI's own schema, true of the broker and its messages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from actors.asyncapi import HEADERS, describe_messages
from actors.domain.events import EVENT_TYPES
from actors.topology import SUBSCRIPTIONS, topology
from runtime.amqp.address import Address
from runtime.amqp.session import connect
from runtime.amqp.topology import Binding, Exchange, Queue, QueueType, Topology, differences
from tests.harness.peer import peer_at
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.system import live_system, order_body
from tests.harness.waiting import eventually

SCHEMA = Path(__file__).parent.parent / "harness" / "asyncapi" / "3.0.0.json"
TIERS_S = (1, 5)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Json = dict[str, Any]


def document(queue_type: QueueType = "quorum", tiers_s: tuple[int, ...] = TIERS_S) -> Json:
    declared = topology(tiers_s, queue_type)
    return json.loads(describe_messages(declared, SUBSCRIPTIONS, "1.2.3"))


def described(found: Json) -> Topology:
    """Read the topology back from the document."""
    channels = [channel["bindings"]["amqp"] for channel in found["channels"].values()
                if "bindings" in channel]  # fmt: skip
    exchanges = {row["exchange"]["name"]: row["exchange"] for row in channels if "exchange" in row}
    queues = [channel for channel in found["channels"].values() if "x-arguments" in channel]
    return Topology(
        tuple(Exchange(name, row["type"]) for name, row in exchanges.items()),
        tuple(Queue(row["address"], row["x-arguments"]) for row in queues),
        tuple(
            Binding(row["address"], bound["exchange"], bound["routingKey"])
            for row in queues
            for bound in row["x-bindings"]
        ),
    )


def nodes(node: object) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from nodes(child)
    elif isinstance(node, list):
        for child in node:
            yield from nodes(child)


def resolved(found: Json, reference: str) -> object:
    node: Any = found
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_it_is_valid_by_the_schema_of_asyncapi(queue_type: QueueType) -> None:
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    found = document(queue_type)
    assert [error.message for error in validator.iter_errors(found)] == []
    found["channels"]["payment"]["bindings"]["amqp"]["is"] = "topic"
    assert not validator.is_valid(found), "a schema that takes everything proves nothing"


def test_every_reference_leads_somewhere_and_every_component_is_referred_to() -> None:
    found = document()
    references = {node["$ref"] for node in nodes(found) if "$ref" in node}
    assert len(references) > 40
    for reference in references:
        assert resolved(found, reference), reference
    components = {
        f"#/components/{kind}/{name}" for kind, rows in found["components"].items() for name in rows
    }
    assert components <= references


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_it_holds_the_declared_topology_exactly(queue_type: QueueType) -> None:
    declared, told = topology((1, 30), queue_type), described(document(queue_type, (1, 30)))
    assert told.exchanges == declared.exchanges
    assert told.queues == declared.queues
    assert set(told.bindings) == set(declared.bindings)


def test_every_published_event_has_a_message_and_every_event_a_schema() -> None:
    found = document()
    published = {row.name for row in EVENT_TYPES.values() if row.exchange}
    assert set(found["components"]["messages"]) == {*published, "order.event"}
    bodies = {row.body.__name__ for row in EVENT_TYPES.values()}
    assert len(bodies) == 12
    assert bodies <= set(found["components"]["schemas"])
    for queue, events in SUBSCRIPTIONS.items():
        receiving = found["operations"][f"{queue}-receive"]
        names = {row["$ref"].rpartition("/")[2] for row in receiving["messages"]}
        assert names == set(events)


async def test_the_broker_and_the_messages_on_it_are_as_described(
    tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    found = document(tiers_s=(1,))
    url = f"{rabbitmq.url}{rabbitmq.vhost()}"
    few = {"attempts_max": 2}
    async with live_system(tmp_path, url, shipping={"auto_ship_s": 0.1}, retry=few) as system:
        async with peer_at(url) as peer:
            seen = await peer.queue("seen")
            for exchange in ("orders", "payment", "shipping"):
                await peer.channel.queue_bind(seen, exchange, "#")
            await (await system.place()).wait_for("shipped")
            await (await system.place("pm_card_declined")).wait_for("payment-auth-failed")
            traced = {"authorization": f"Bearer {system._operator}", "traceparent": TRACE}
            body = order_body("pm_card_poison")
            poisoned = await system.client.post("/v1/orders", json=body, headers=traced)
            parked = await eventually(lambda: peer.get("payment.dead"))
            assert assert_is_described(found, parked, copied=True) == "order-created"
            headers = {*parked.header.properties.headers}
            assert {"traceparent", "x-attempt", "x-reason", "x-parked-at"} <= headers
            path = f"/v1/orders/{poisoned.json()['id']}/cancellation"
            await system.call("POST", path, token="operator")

            async def cancelled() -> bool:
                return await peer.ready(seen) >= 7

            await eventually(cancelled)
            names = set()
            while (message := await peer.get(seen)) is not None:
                names.add(assert_is_described(found, message))
        session = await connect(Address.parse(url), 10, "test", 0)
        assert await differences(session, described(found)) == []
        other = described(document("classic", (1, 7)))
        told = await differences(session, other)
        assert "queue payment.retry.7s is missing" in told
        assert any(text.startswith("queue payment differs: ") for text in told)
        assert len(told) == 3 * 4
        await session.close()
    assert names == {row.name for row in EVENT_TYPES.values() if row.exchange}


def assert_is_described(found: Json, message: Any, *, copied: bool = False) -> str:
    """Hold one delivered message against the document; return its event's name."""
    properties = message.header.properties
    name = properties.message_type.partition("/")[0]
    described = found["components"]["messages"][name]
    for schema, value in (
        (described["payload"], json.loads(message.body)),
        (described["headers"], properties.headers),
    ):
        # JSON Schema resolves references against the root, so the root has the components.
        whole = {**schema, "components": found["components"]}
        jsonschema_rs.validate(whole, value)
    assert set(properties.headers) - {"x-delivery-count"} <= set(HEADERS), "but the broker's own"
    told = described["x-properties"]
    given = {key: value for key, value in dict(properties).items() if value}
    given["type"] = given.pop("message_type")
    assert set(given) == {*told, "headers"}
    assert (given["type"], given["app_id"]) == (told["type"], told["app_id"])
    assert given["content_type"] == told["content_type"]
    assert told["delivery_mode"].startswith(str(given["delivery_mode"]))
    if copied:
        return str(name)
    channel = found["channels"][message.routing_key]
    assert channel["bindings"]["amqp"]["exchange"]["name"] == message.exchange
    assert msgspec.json.decode(message.body)["data"] is not None
    return str(name)
