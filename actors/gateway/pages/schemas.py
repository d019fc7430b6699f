"""JSON Schema as people read it: one row for each member of an object."""

from collections.abc import Mapping

import msgspec

Text = str | int | float | bool | None


class Schema(msgspec.Struct, frozen=True):
    """What is read of a schema (2020-12, and the draft of AsyncAPI, which here are alike)."""

    ref: str = msgspec.field(name="$ref", default="")
    type: str = ""
    description: str = ""
    properties: Mapping[str, "Schema"] = {}
    required: list[str] = []
    items: "Schema | bool" = False
    additional: "Schema | bool" = msgspec.field(name="additionalProperties", default=True)
    any_of: "list[Schema]" = msgspec.field(name="anyOf", default=[])
    enum: list[Text] = []
    const: Text | msgspec.UnsetType = msgspec.UNSET
    format: str = ""
    pattern: str = ""
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = msgspec.field(name="minLength", default=None)
    max_length: int | None = msgspec.field(name="maxLength", default=None)
    min_items: int | None = msgspec.field(name="minItems", default=None)
    max_items: int | None = msgspec.field(name="maxItems", default=None)


class Piece(msgspec.Struct, frozen=True):
    """A part of a sentence; with ``place`` it leads to the schema of that name."""

    text: str
    place: str = ""


class Member(msgspec.Struct, frozen=True):
    """One member of an object: what it is, within which bounds, whether it must be there."""

    name: str
    kind: list[Piece]
    rules: str
    required: bool
    description: str


def schema_of(document: object) -> Schema:
    """Read a schema."""
    return msgspec.convert(document, Schema)


def members(schema: Schema) -> list[Member]:
    """Return the members of an object, in their order."""
    return [
        Member(name, kind(row), ", ".join(rules(row)), name in schema.required, row.description)
        for name, row in schema.properties.items()
    ]


def kind(schema: Schema) -> list[Piece]:
    """Return what a value is, such as ``list of`` and a link to ``Item``."""
    if schema.ref:
        name = schema.ref.rpartition("/")[2]
        return [Piece(name, f"#schema-{name}")]
    if schema.any_of:
        return _joined([kind(row) for row in schema.any_of])
    if not isinstance(schema.const, msgspec.UnsetType):
        return [Piece(_json(schema.const))]
    if schema.enum:
        return [Piece("one of " + ", ".join(map(_json, schema.enum)))]
    if isinstance(schema.items, Schema):
        return [Piece("list of "), *kind(schema.items)]
    if schema.type == "object" and isinstance(schema.additional, Schema):
        return [Piece("table of "), *kind(schema.additional)]
    return [Piece(schema.format or schema.type or "anything")]


def rules(schema: Schema) -> list[str]:
    """Return the bounds of a value, each in a few words."""
    if schema.any_of:
        return [rule for row in schema.any_of for rule in rules(row)]
    found = [
        _between(schema.minimum, schema.maximum, ""),
        _between(schema.min_length, schema.max_length, " characters"),
        _between(schema.min_items, schema.max_items, " items"),
    ]
    pattern = f"like {schema.pattern}" if schema.pattern else ""
    return [text for text in (*found, pattern) if text]


def _joined(options: list[list[Piece]]) -> list[Piece]:
    found: list[Piece] = []
    for pieces in options:
        found += [Piece(" or "), *pieces] if found else pieces
    return found


def _between(least: float | None, most: float | None, unit: str) -> str:
    if least is not None and most is not None:
        return f"{least:g} to {most:.10g}{unit}"
    if least is not None:
        return f"{least:g}{unit} or more"
    return "" if most is None else f"{most:.10g}{unit} at most"


def _json(value: Text) -> str:
    return msgspec.json.encode(value).decode()
