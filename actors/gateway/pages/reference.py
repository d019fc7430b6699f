"""The reference as pages: the HTTP API, what goes over the broker, and every problem.

They show the same tables and documents that the machine-readable ones are made from.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import msgspec
from quart import Response

from actors.domain.order import STATUS_TABLES
from actors.gateway.openapi import PARAMETERS, operation_schemas
from actors.gateway.operation import COMMON, Access, Operation
from actors.gateway.pages.schemas import Member, Piece, Schema, kind, members, rules, schema_of
from actors.gateway.pages.site import Site
from actors.gateway.problem_table import PROBLEMS, Problem

ACCESS: Mapping[Access, str] = {
    "public": "everybody, without a token",
    "anyone": "everybody; an operator's token may be sent",
    "order": "the order's access token, or an operator's or viewer's",
    "staff": "an operator's or a viewer's token",
    "operator": "an operator's token",
}
TAGS = {
    "orders": "Orders",
    "products": "Products",
    "admin": "Operating",
    "service": "The service itself",
}


class Called(msgspec.Struct, frozen=True):
    """One operation as it is shown."""

    row: Operation
    access: str
    parameters: list[Member]
    problems: list[Problem]


class Message(msgspec.Struct, frozen=True):
    """What is read of a message of the AsyncAPI document."""

    name: str
    title: str
    payload: Schema
    summary: str = ""
    headers: Schema = Schema()
    properties: Mapping[str, str] = msgspec.field(name="x-properties", default={})


class Bound(msgspec.Struct, frozen=True, rename="camel"):
    """A binding of a queue."""

    exchange: str
    routing_key: str


class Channel(msgspec.Struct, frozen=True):
    """What is read of a channel: where it is, and which messages go through it."""

    address: str
    title: str
    messages: Mapping[str, object]
    bindings: Mapping[str, Mapping[str, object]] = {}
    arguments: Mapping[str, str | int] = msgspec.field(name="x-arguments", default={})
    bound: list[Bound] = msgspec.field(name="x-bindings", default=[])

    @property
    def is_queue(self) -> bool:
        """Whether it is a queue, not an exchange."""
        return self.bindings.get("amqp", {}).get("is") == "queue"


class _Components(msgspec.Struct, frozen=True):
    messages: dict[str, Message]
    schemas: dict[str, Schema]


class _Info(msgspec.Struct, frozen=True):
    cloudevents: dict[str, str] = msgspec.field(name="x-cloudevents")


class _Broker(msgspec.Struct, frozen=True):
    info: _Info
    channels: dict[str, Channel]
    components: _Components


class ReferencePages:
    """Pages for whoever builds on the shop. ``asyncapi`` is the finished document."""

    def __init__(self, site: Site, operations: Sequence[Operation], asyncapi: bytes) -> None:
        self._site = site
        self._table = operations
        self._asyncapi = asyncapi

    # Made when somebody first looks: a system starts often, and its reference is seldom read.

    @cached_property
    def _operations(self) -> list[Called]:
        return [_called(row) for row in self._table]

    @cached_property
    def _schemas(self) -> dict[str, tuple[Schema, list[Member]]]:
        return _schemas(operation_schemas(self._table))

    @cached_property
    def _broker(self) -> _Broker:
        return msgspec.json.decode(self._asyncapi, type=_Broker)

    async def api(self) -> Response:
        """Show every operation of the HTTP API, and what goes in and out."""
        groups = [
            (title, [called for called in self._operations if called.row.tag == tag])
            for tag, title in TAGS.items()
        ]
        return self._site.page(
            "api.html",
            groups=[group for group in groups if group[1]],
            schemas=self._schemas,
            statuses=STATUS_TABLES,
        )

    async def events(self) -> Response:
        """Show every message, where it goes, and who gets it."""
        channels = self._broker.channels.values()
        components = self._broker.components
        schemas = {name: (row, members(row)) for name, row in components.schemas.items()}
        return self._site.page(
            "events.html",
            messages=[
                (row, members(row.payload), members(row.headers), _ways(name, channels))
                for name, row in components.messages.items()
            ],
            cloudevents=self._broker.info.cloudevents,
            queues=[channel for channel in channels if channel.is_queue],
            schemas=schemas,
        )

    async def problems(self) -> Response:
        """Show what the API may refuse, and why."""
        return self._site.page("problems.html", problems=list(PROBLEMS.values()))


def _called(row: Operation) -> Called:
    in_path = [part[1:-1] for part in row.path.split("/") if part.startswith("{")]
    slugs = dict.fromkeys((*row.problems, *COMMON))
    return Called(
        row,
        ACCESS[row.access],
        [_parameter(name) for name in (*in_path, *row.parameters)],
        sorted((PROBLEMS[slug] for slug in slugs), key=lambda problem: problem.status),
    )


def _parameter(name: str) -> Member:
    where, document, description = PARAMETERS[name]
    schema = schema_of(document)
    pieces: list[Piece] = [Piece(f"{where}, "), *kind(schema)]
    return Member(name, pieces, ", ".join(rules(schema)), where == "path", description)


def _schemas(documents: Mapping[str, object]) -> dict[str, tuple[Schema, list[Member]]]:
    found = {name: schema_of(document) for name, document in documents.items()}
    return {name: (found[name], members(found[name])) for name in sorted(found)}


def _ways(message: str, channels: Iterable[Channel]) -> list[Channel]:
    """Return the channels that carry a message."""
    return [channel for channel in channels if message in channel.messages]
