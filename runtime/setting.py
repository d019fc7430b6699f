"""What settings there are: a struct type read as a table of dotted keys.

A field of struct type is a table (``http.port``), any other field a setting. What a setting
accepts is its type with `msgspec.Meta` (``ge``, ``le``, ``pattern``, ``description``, ...), so the
struct is the only place where it is written down; errors, the documentation's table and the JSON
Schema are read from it.
"""

import hmac
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, get_args, get_origin

import msgspec
from msgspec import inspect


class Secret:
    """A text that prints as ``***``; `reveal` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


class SecretUrl(Secret):
    """A secret that may be a URL with a password, or a plain word instead of one.

    It prints as a person needs it, without the password and without the query; what does not look
    like such a URL prints as ``***``, because nobody knows which part of it is the password.

    >>> SecretUrl("amqp://shop:hunter2@mq.example:5672/orders"), SecretUrl("embedded")
    (amqp://shop:***@mq.example:5672/orders, embedded)
    >>> SecretUrl("amqp://shop:hunter/2@mq.example"), SecretUrl("shop:hunter2")
    (***, ***)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        found = _URL.fullmatch(self.reveal())
        if found is None:
            return self.reveal() if _WORD.fullmatch(self.reveal()) else "***"
        user = "" if found["user"] is None else "***@"
        if found["password"] is not None:
            user = f"{found['user']}:***@"
        return found["scheme"] + user + found["place"] + ("?***" if found["query"] else "")

    __str__ = __repr__


_WORD = re.compile("[a-z]*")
_URL = re.compile(
    r"(?P<scheme>[a-z]+://)(?:(?P<user>[^\s:@/?#]*)(?P<password>:[^\s@/?#]*)?@)?"
    r"(?P<place>(?:[^\s:@/?#\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[^\s:@?#]*)?)"
    r"(?P<query>\?[^\s@]*)?"
)


class Setting(msgspec.Struct, frozen=True):
    """One setting. ``default`` is `msgspec.NODEFAULT` where a value is required."""

    key: str
    variable: str
    type: object
    accepts: str
    default: object
    description: str
    secret: bool

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is msgspec.NODEFAULT

    @property
    def default_text(self) -> str:
        """The default as a person would write it; empty where there is none to show."""
        if self.required or self.default is None:
            return ""
        return shown(self.default)


def settings_of(table: type[msgspec.Struct], prefix: str) -> list[Setting]:
    """Return the settings of ``table``, in the order they are written, names checked for clashes.

    ``prefix`` begins the names of environment variables: ``http.port`` is ``<prefix>HTTP_PORT``.
    """
    found = list(_walk(table, "", msgspec.NODEFAULT, prefix))
    by_variable: dict[str, str] = {}
    for setting in found:
        other = by_variable.setdefault(setting.variable, setting.key)
        assert other == setting.key, f"{other} and {setting.key} share {setting.variable}"
    return found


def as_struct(annotation: object) -> type[msgspec.Struct] | None:
    """Return the struct type behind ``annotation``, or None: then it is a setting."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return bare if isinstance(bare, type) and issubclass(bare, msgspec.Struct) else None


def decode_hook(wanted: type, value: object) -> object:
    """Make what msgspec does not know: secrets and paths, from text."""
    if issubclass(wanted, Secret | Path) and isinstance(value, str):
        return wanted(value)
    raise TypeError(f"cannot make {wanted.__name__} from {type(value).__name__}")


def schema_hook(wanted: type) -> dict[str, object]:
    """Describe to JSON Schema what msgspec does not know."""
    if issubclass(wanted, Secret):
        return {"type": "string", "writeOnly": True}
    if wanted is Path:
        return {"type": "string", "format": "path"}
    raise TypeError(f"no JSON Schema for {wanted.__name__}")


def shown(value: object) -> str:
    """Return a value as a person would write it: ``[1, 5]``, ``true``, ``text``."""
    if isinstance(value, Secret):
        return str(value) if value else ""
    if isinstance(value, str | Path):
        return str(value)
    return msgspec.json.encode(value, enc_hook=str).decode().replace(",", ", ")


def _walk(
    table: type[msgspec.Struct], path: str, defaults: object, prefix: str
) -> Iterator[Setting]:
    for field in msgspec.structs.fields(table):
        key = f"{path}{field.name}"
        default = _default(field, defaults)
        below = as_struct(field.type)
        if below is not None:
            yield from _walk(below, f"{key}.", default, prefix)
            continue
        kind = inspect.type_info(field.type)
        yield Setting(
            key=key,
            variable=prefix + key.replace(".", "_").upper(),
            type=field.type,
            accepts=_accepts(kind),
            default=default,
            description=_description(field.type),
            secret=_is_secret(kind),
        )


def _default(field: msgspec.structs.FieldInfo, defaults: object) -> object:
    """A table's own default (``payment: Service = Service(port=8082)``) rules over its fields'."""
    if defaults is not msgspec.NODEFAULT:
        return getattr(defaults, field.name)
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return msgspec.NODEFAULT


def _description(annotation: object) -> str:
    if get_origin(annotation) is Annotated:
        for note in get_args(annotation)[1:]:
            if isinstance(note, msgspec.Meta) and note.description:
                return note.description
    return next(filter(None, map(_description, get_args(annotation))), "")


def _is_secret(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return _is_secret(kind.type)
    if isinstance(kind, inspect.UnionType):
        return any(map(_is_secret, kind.types))
    if isinstance(kind, inspect.DictType):
        return _is_secret(kind.value_type)
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        return _is_secret(kind.item_type)
    return isinstance(kind, inspect.CustomType) and issubclass(kind.cls, Secret)


_PLAIN: Mapping[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.NoneType: "none",
    inspect.AnyType: "anything",
}
_CUSTOM: Mapping[type, str] = {Secret: "a secret", SecretUrl: "a URL", Path: "a path"}


def _accepts(kind: inspect.Type) -> str:
    """Say what a type accepts: ``an integer 0..65535``, ``one of json, text``, ..."""
    match kind:
        case inspect.Metadata():
            return _accepts(kind.type)
        case inspect.IntType() | inspect.FloatType():
            noun = "an integer" if isinstance(kind, inspect.IntType) else "a number"
            return noun + _bounds(kind)
        case inspect.StrType():
            return "text" + (f" like {kind.pattern}" if kind.pattern else _length(kind))
        case inspect.LiteralType():
            return "one of " + ", ".join(map(str, kind.values))
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list{_length(kind)}, each item {_accepts(kind.item_type)}"
        case inspect.DictType():
            return f"a table, each value {_accepts(kind.value_type)}"
        case inspect.UnionType():
            return " or ".join(map(_accepts, kind.types))
        case inspect.CustomType():
            return _CUSTOM.get(kind.cls, kind.cls.__name__)
        case _:
            return _PLAIN.get(type(kind), type(kind).__name__.removesuffix("Type").lower())


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" {_number(kind.ge)}..{_number(kind.le)}"
    limits = ((">=", kind.ge), (">", kind.gt), ("<=", kind.le), ("<", kind.lt))
    parts = [f"{sign} {_number(limit)}" for sign, limit in limits if limit is not None]
    return " " + " and ".join(parts) if parts else ""


def _number(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _length(kind: inspect.StrType | inspect.ListType | inspect.VarTupleType) -> str:
    if kind.min_length is not None and kind.max_length is not None:
        return f" of length {kind.min_length}..{kind.max_length}"
    if kind.min_length is not None:
        return f" of length >= {kind.min_length}"
    return f" of length <= {kind.max_length}" if kind.max_length is not None else ""
