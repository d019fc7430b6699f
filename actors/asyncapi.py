"""What goes over the broker, AsyncAPI 3.0: made from the topology, the event table and the structs.

A channel is an exchange with a routing key, or a queue. The document has no place of its own for a
queue's arguments and bindings: they stand in ``x-arguments`` and ``x-bindings``, for the AMQP
properties of a message there is ``x-properties``. Messages are also shown to customers, as
server-sent events: the last channel.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from actors.domain.event_json import EventJson
from actors.domain.events import EVENT_TYPES, EventMessage, EventType
from actors.gateway.openapi import PARAMETERS, Json, Object, event_schemas
from actors.gateway.operations import OPERATIONS
from actors.order_events.appending import ORDER_CORRELATION
from runtime.amqp.redrive import REDRIVEN
from runtime.amqp.topology import Exchange, Queue, Topology, dead_queue, retry_tier_s
from runtime.inbox import REPLAYED
from runtime.message import ATTEMPT, REQUEUED
from runtime.outcomes import ERROR, HISTORY, ORIGIN_QUEUE, PARKED_AT, REASON
from runtime.tracing import TRACEPARENT, TRACESTATE

_AMQP = "0.3.0"
_TEXT: Object = {"type": "string"}
_COUNT: Object = {"type": "integer", "minimum": 0}
_TRUE: Object = {"const": True}

# header -> (schema, description)
HEADERS: Mapping[str, tuple[Object, str]] = {
    ORDER_CORRELATION: (_TEXT, "The id of the request that placed the order."),
    TRACEPARENT: (_TEXT, "W3C trace context of the request, if it had one."),
    TRACESTATE: (_TEXT, "What came with it of other vendors, as it was."),
    REQUEUED: (_TRUE, "A consumer has put this copy back on purpose; its id is the same."),
    ATTEMPT: (_COUNT, "Attempts made before this delivery."),
    HISTORY: (_TEXT, "The latest failed attempts: number@seconds since the Unix epoch, error."),
    REPLAYED: (_TRUE, "An operator has given this copy back; attempts are counted from 0."),
    REDRIVEN: (_COUNT, "How often it was taken out of .dead because connections had died."),
    REASON: ({"type": "string"}, "Of a parked message: why it was parked."),
    ERROR: (_TEXT, "Of a parked message: the class of the last error."),
    PARKED_AT: (_COUNT, "Of a parked message: when, in seconds since the Unix epoch."),
    ORIGIN_QUEUE: (_TEXT, "Of a parked message: the queue it came from, where replay puts it."),
}
_PROPERTIES: Mapping[str, str] = {
    "message_id": "id of the event, the same on every copy",
    "correlation_id": "id of the request or message that led to the event",
    "timestamp": "when it was recorded, in seconds since the Unix epoch",
    "content_type": "application/json",
    "delivery_mode": "2, persistent",
}
# CloudEvents 1.0 attribute -> where it is in a message
CLOUD_EVENTS: Mapping[str, str] = {
    "id": "message_id",
    "source": "app_id",
    "type": "type",
    "time": "timestamp",
    "subject": "order_id, in the body",
    "datacontenttype": "content_type",
    "traceparent": f"{TRACEPARENT}, a header",
    "tracestate": f"{TRACESTATE}, a header",
    "data": "data, in the body",
}
_STREAM = next(row for row in OPERATIONS if row.id == "stream")


def describe_messages(
    topology: Topology, subscriptions: Mapping[str, Sequence[str]], version: str
) -> bytes:
    """Return the document as JSON. ``subscriptions``: queue, and the events its service gets."""
    published = [row for row in EVENT_TYPES.values() if row.exchange is not None]
    document: Object = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ordermill",
            "version": version,
            "description": "Events of orders, on an AMQP 0-9-1 broker. Each is published after it "
            "was committed, is confirmed by the broker, and may arrive more than once: its "
            "message_id stays the same.",
            "license": {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"},
            "x-cloudevents": dict(CLOUD_EVENTS),
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": _server("amqp", "5672", "broker.url", protocolVersion="0-9-1"),
            "gateway": _server("http", "8080", "http.public_url"),
        },
        "channels": dict(_channels(published, topology, subscriptions)),
        "operations": dict(_operations(published, topology, subscriptions)),
        "components": {
            "messages": {
                **{row.name: _message(row) for row in published},
                "order.event": {
                    "name": "order.event",
                    "title": "An event as customers and operators see it",
                    "payload": _ref("schemas", EventJson.__name__),
                },
            },
            "schemas": dict(event_schemas()),
        },
    }
    return msgspec.json.encode(document)


def _server(protocol: str, port: str, setting: str, **more: Json) -> Object:
    variables: Object = {"host": {"default": "localhost"}, "port": {"default": port}}
    return {
        "host": "{host}:{port}",
        "protocol": protocol,
        "description": f"Where the setting {setting} says.",
        "variables": variables,
        **more,
    }


def _ref(kind: str, name: str) -> Object:
    return {"$ref": f"#/components/{kind}/{name}"}


def _channels(
    published: Sequence[EventType],
    topology: Topology,
    subscriptions: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, Object]]:
    exchanges = {exchange.name: exchange for exchange in topology.exchanges}
    for row in published:
        yield row.routing_key, _event_channel(row, exchanges[row.exchange or ""])
    for queue in topology.queues:
        service = queue.name.partition(".")[0]
        yield queue.name, _queue_channel(queue, service, subscriptions[service], topology)
    yield "order-stream", _stream_channel()


def _event_channel(row: EventType, exchange: Exchange) -> Object:
    exchange_binding: Object = {
        "name": exchange.name,
        "type": exchange.type,
        "durable": True,
        "autoDelete": False,
    }
    amqp: Object = {"is": "routingKey", "exchange": exchange_binding, "bindingVersion": _AMQP}
    return {
        "address": row.routing_key,
        "title": f"{row.name}, to the exchange {exchange.name}",
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {row.name: _ref("messages", row.name)},
        "bindings": {"amqp": amqp},
    }


def _queue_channel(queue: Queue, service: str, events: Sequence[str], topology: Topology) -> Object:
    queue_binding: Object = {
        "name": queue.name,
        "durable": True,
        "exclusive": False,
        "autoDelete": False,
    }
    amqp: Object = {"is": "queue", "queue": queue_binding, "bindingVersion": _AMQP}
    bindings: list[Json] = [
        {"exchange": row.exchange, "routingKey": row.routing_key}
        for row in topology.bindings
        if row.queue == queue.name
    ]
    return {
        "address": queue.name,
        "title": _purpose(queue, service),
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {name: _ref("messages", name) for name in events},
        "bindings": {"amqp": amqp},
        "x-arguments": dict(queue.arguments),
        "x-bindings": bindings,
    }


def _purpose(queue: Queue, service: str) -> str:
    if queue.name == dead_queue(service):
        return f"Messages that {service} has parked, until an operator decides"
    tier_s = retry_tier_s(queue)
    if tier_s is not None:
        return f"Messages that return to {service} after {tier_s} s"
    return f"Messages for {service}"


def _stream_channel() -> Object:
    names = [part[1:-1] for part in _STREAM.path.split("/") if part.startswith("{")]
    parameters: Object = {name: {"description": PARAMETERS[name][2]} for name in names}
    return {
        "address": _STREAM.path,
        "title": _STREAM.summary,
        "description": f"Server-sent events: {_STREAM.media_type} of the HTTP API.",
        "servers": [{"$ref": "#/servers/gateway"}],
        "parameters": parameters,
        "messages": {"order.event": _ref("messages", "order.event")},
    }


def _operations(
    published: Sequence[EventType],
    topology: Topology,
    subscriptions: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, Object]]:
    sending: Object = {
        "amqp": {
            "deliveryMode": 2,
            "mandatory": True,
            "timestamp": True,
            "bindingVersion": _AMQP,
        }
    }
    for row in published:
        summary = f"order-events publishes what {row.app_id} has stated"
        messages = (row.name,)
        yield (
            f"publish-{row.name}",
            _operation("send", row.routing_key, messages, summary, sending),
        )
    for service, events in subscriptions.items():
        taking: Object = {"amqp": {"ack": True, "bindingVersion": _AMQP}}
        summary = f"{service} works on each once, and acknowledges what is durable"
        yield f"{service}-receive", _operation("receive", service, events, summary, taking)
        for queue in topology.queues:
            tier_s = retry_tier_s(queue)
            if queue.name == dead_queue(service):
                summary = f"{service} parks what no retry can help"
                yield f"{service}-park", _operation("send", queue.name, events, summary, sending)
            elif tier_s is not None and queue.name.startswith(f"{service}."):
                summary = f"{service} tries again after {tier_s} s"
                yield (
                    f"{service}-retry-{tier_s}s",
                    _operation("send", queue.name, events, summary, sending),
                )
    streaming: Object = {"http": {"method": _STREAM.method, "bindingVersion": "0.3.0"}}
    yield (
        "stream-order",
        _operation("send", "order-stream", ("order.event",), _STREAM.summary, streaming),
    )


def _operation(
    action: str, channel: str, messages: Sequence[str], summary: str, bindings: Object
) -> Object:
    where = f"#/channels/{channel}"
    return {
        "action": action,
        "channel": {"$ref": where},
        "summary": summary,
        "messages": [{"$ref": f"{where}/messages/{name}"} for name in messages],
        "bindings": bindings,
    }


def _message(row: EventType) -> Object:
    (_, components) = msgspec.json.schema_components([EventMessage])
    payload: Object = components[EventMessage.__name__]
    properties = payload["properties"]
    assert isinstance(properties, dict), "a struct has properties"
    payload["properties"] = {**properties, "data": _ref("schemas", row.body.__name__)}
    headers: Object = {
        name: {**schema, "description": description}
        for name, (schema, description) in HEADERS.items()
    }
    return {
        "name": row.message_type,
        "title": (row.body.__doc__ or "").split(";")[0].rstrip("."),
        "summary": f"Stated by {row.app_id}",
        "contentType": "application/json",
        "headers": {"type": "object", "required": [ORDER_CORRELATION], "properties": headers},
        "payload": payload,
        "bindings": {"amqp": {"messageType": row.message_type, "bindingVersion": _AMQP}},
        "x-properties": {**_PROPERTIES, "type": row.message_type, "app_id": row.app_id},
    }
