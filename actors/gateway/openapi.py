"""The API's description, OpenAPI 3.1: made from the table of operations and the structs themselves.

A struct that the code decodes or encodes is the schema; nothing is written down twice. JSON Schema
2020-12 has a place for everything msgspec checks, except patterns with a look-ahead, which ECMA
262, its dialect of regular expressions, reads in the same way.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypeAlias

import msgspec

from actors.domain.event_json import EventJson
from actors.domain.events import APPS, EVENT_TYPES
from actors.domain.order import STATUSES
from actors.gateway.operation import COMMON, Access, Operation
from actors.gateway.problem_table import PROBLEMS
from actors.gateway.problems import FieldError
from actors.services import CONSUMERS
from actors.tree_desk import PATH_PATTERN

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Object = dict[str, Json]

_REF = "#/components/schemas/{name}"
_WHOLE: Object = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_ORDER_ID: Object = {"type": "string", "pattern": "^ord_[0-9A-Z]{26}$"}
_TIME: Object = {"type": "string", "format": "date-time"}

# name -> (in, schema, description)
PARAMETERS: dict[str, tuple[str, Object, str]] = {
    "order_id": ("path", _ORDER_ID, "The order's id."),
    "sku": ("path", {"type": "string"}, "The product's sku."),
    "slug": ("path", {"enum": list(PROBLEMS)}, "The last part of a problem's type."),
    "at": (
        "query",
        {"anyOf": [{**_WHOLE, "minimum": 1}, _TIME]},
        "Show the order as it was at this version or time.",
    ),
    "after": (
        "query",
        _WHOLE,
        "Only events after this version; of the whole log, after this position.",
    ),
    "before": ("query", _WHOLE, "Only events before this position, the last ones of them."),
    "type": ("query", {"enum": list(EVENT_TYPES)}, "Only events, or messages, of this type."),
    "app": ("query", {"enum": list(APPS)}, "Only events that this service has stated."),
    "order": ("query", _ORDER_ID, "Only events of this order."),
    "event_id": ("path", {"type": "string"}, "The event's id."),
    "queue": ("query", {"enum": list(CONSUMERS)}, "Only messages of this service's queue."),
    "message_queue": ("path", {"enum": list(CONSUMERS)}, "The service that has parked it."),
    "message_id": ("path", {"type": "string"}, "The message's id."),
    "actor": (
        "query",
        {"type": "string", "pattern": PATH_PATTERN, "maxLength": 300},
        "Only whoever has this path in a tree, such as ordermill/payment-service.",
    ),
    "q": ("query", {"type": "string", "maxLength": 300}, "An id, a number, or an e-mail address."),
    "idle": ("query", _WHOLE, "Only orders that have waited for a service for so many seconds."),
    "limit": ("query", {"type": "integer", "minimum": 1, "maximum": 100}, "Rows at most."),
    "status": ("query", {"enum": [name for name, _ in STATUSES]}, "Only orders of this status."),
    "email": ("query", {"type": "string"}, "Only orders of this e-mail address."),
    "since": ("query", _TIME, "Only orders placed, or events recorded, at or after this time."),
    "cursor": ("query", {**_WHOLE, "minimum": 1}, "next_cursor of the page before."),
    "If-Match": (
        "header",
        {"type": "string", "pattern": r'^(\*|"[0-9]{1,9}")$'},
        'The ETag of the order as you know it, or "*".',
    ),
    "If-None-Match": ("header", {"type": "string"}, "Answer 304 if the ETag is still this one."),
    "Last-Event-ID": ("header", _WHOLE, "Resume a stream: like after."),
    "Idempotency-Key": (
        "header",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "The same key and body give the same answer, whatever happened in between.",
    ),
}
_SECURITY: dict[Access, list[Json]] = {
    "public": [],
    "anyone": [{}, {"staff": []}],
    "order": [{"order": []}, {"staff": []}],
    "staff": [{"staff": []}],
    "operator": [{"staff": []}],
}


def describe(operations: Sequence[Operation], version: str, server: str) -> bytes:
    """Return the document as JSON. ``server`` is the API's base URL, or empty for "here"."""
    document: Object = {
        "openapi": "3.1.0",
        "info": {
            "title": "ordermill",
            "version": version,
            "summary": "Place orders, follow them, change them while that is still possible.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server or "/"}],
        "paths": _paths(operations),
        "components": {
            "schemas": operation_schemas(operations),
            "securitySchemes": {
                "order": _bearer("access_token of the answer to POST /v1/orders"),
                "staff": _bearer("an operator's token, or for reading a viewer's"),
            },
        },
    }
    return msgspec.json.encode(document)


def _bearer(description: str) -> Object:
    return {"type": "http", "scheme": "bearer", "description": description}


def _paths(operations: Iterable[Operation]) -> Object:
    paths: dict[str, Object] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return dict(paths)


def _operation(operation: Operation) -> Object:
    described: Object = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": _SECURITY[operation.access],
        "parameters": [_parameter(name) for name in _parameter_names(operation)],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": _ref(operation.body)}},
        }
    return described


def _parameter_names(operation: Operation) -> tuple[str, ...]:
    in_path = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    conditional = ("If-None-Match",) if operation.conditional else ()
    return (*in_path, *operation.parameters, *conditional)


def _parameter(name: str) -> Object:
    where, schema, description = PARAMETERS[name]
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
    }


def _responses(operation: Operation) -> Object:
    schema: Object = {"type": "string"} if operation.media_type != "application/json" else {}
    if operation.reply is not None:
        schema = _ref(operation.reply)
    content: Object = {operation.media_type: {"schema": schema}}
    responses: Object = {str(operation.status): {"description": "Done.", "content": content}}
    if operation.conditional:
        responses["304"] = {"description": "You have this already."}
    if operation.id == "readyz":
        responses["503"] = {"description": "Not ready: checks say why.", "content": content}
    slugs_of: dict[int, list[str]] = {}
    for slug in dict.fromkeys((*operation.problems, *COMMON)):
        slugs_of.setdefault(PROBLEMS[slug].status, []).append(slug)
    for status, slugs in sorted(slugs_of.items()):
        responses[str(status)] = {
            "description": ", ".join(slugs),
            "content": {"application/problem+json": {"schema": _ref(ProblemBody)}},
        }
    return responses


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """Any refusal (RFC 9457); the members after request_id appear where they apply."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    instance: str | None = None
    order_status: str | None = None
    order_version: int | None = None
    blocking_event: dict[str, str | int] | None = None
    allowed_actions: dict[str, dict[str, bool | str | None]] | None = None
    errors: list[FieldError] | None = None


def _ref(struct: type[msgspec.Struct]) -> Object:
    return {"$ref": _REF.format(name=struct.__name__)}


def operation_schemas(operations: Iterable[Operation]) -> Object:
    """Return the schemas of everything that goes in or out, by name."""
    used = [struct for row in operations for struct in (row.body, row.reply) if struct is not None]
    return _schemas_of(tuple(dict.fromkeys((*used, ProblemBody, EventJson))))


def event_schemas() -> Object:
    """Return the schemas of an event as JSON and of every event's body, by name."""
    return _schemas_of((EventJson,))


@cache
def _schemas_of(used: tuple[type[msgspec.Struct], ...]) -> Object:
    bodies = [row.body for row in EVENT_TYPES.values()]
    _, schemas = msgspec.json.schema_components([*used, *bodies], ref_template=_REF)
    # Not oneOf: clients must ignore fields that they do not know, so one body may be several.
    data: Json = {"anyOf": [_ref(body) for body in bodies]}
    schemas[EventJson.__name__]["properties"]["data"] = data
    return schemas
