"""Settings from a TOML file, the environment and the command line, into one frozen struct.

Later layers win: defaults, the file, environment variables, overrides. Every value is checked where
it comes from and against its own setting, all mistakes are reported at once, each by the name that
the operator wrote, and a name that means nothing is a mistake too: a misspelt setting that is
silently ignored is the worst kind. A secret's value is never echoed.
"""

import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from runtime.errors import ConfigurationError
from runtime.redaction import printable
from runtime.setting import Setting, as_struct, decode_hook, schema_hook, settings_of, shown

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "ORDERMILL_"


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """The settings, and for each key where its value came from.

    A source is ``default``, ``<file>:<line>``, a variable's name, or ``--set``.
    """

    settings: S
    sources: dict[str, str]


class _Given(msgspec.Struct, frozen=True):
    """A value as it was given: under which name, from where, and whether it is text to parse."""

    name: str
    source: str
    value: object
    text: bool


def load(
    table: type[S],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    defaults: Mapping[str, object] | None = None,
    prefix: str = PREFIX,
    ignored: Collection[str] = (),
    foreign_tables: Collection[str] = (),
) -> Loaded[S]:
    """Return the settings of type ``table``; raises `ConfigurationError` with every mistake.

    ``overrides`` are ``key=value`` texts. ``defaults`` replace the struct's own, by key.
    ``environment`` is the process's unless given; ``ignored`` names variables with the prefix that
    are not settings, ``foreign_tables`` top-level tables of the file that somebody else reads. A
    secret may be given as ``<VARIABLE>_FILE``, the path of a file that holds it.
    """
    loading = _Loading(settings_of(table, prefix), prefix)
    for key, default in (defaults or {}).items():
        loading.set_default(key, default)
    if file is not None:
        loading.read_file(table, file, foreign_tables)
    loading.read_environment(os.environ if environment is None else environment, ignored)
    loading.read_overrides(overrides)
    return Loaded(loading.build(table), loading.sources)


def describe(table: type[msgspec.Struct], prefix: str = PREFIX) -> list[Setting]:
    """Return every setting with what it accepts, its default and its description."""
    return settings_of(table, prefix)


def json_schema(table: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the settings file."""
    schema = _table_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for setting in settings_of(table, PREFIX):
        *path, name = setting.key.split(".")
        node = schema
        for step in path:
            node = node["properties"].setdefault(step, _table_schema())
        own = msgspec.json.schema(setting.type, schema_hook=schema_hook)
        if not setting.required and not setting.secret:
            own["default"] = msgspec.to_builtins(setting.default, enc_hook=str)
        node["properties"][name] = own
        if setting.required:
            node.setdefault("required", []).append(name)
    return schema


def _table_schema() -> dict[str, Any]:
    return {"type": "object", "properties": {}, "additionalProperties": False}


class _Loading:
    """One load: values and their sources by key, and the mistakes found so far."""

    def __init__(self, settings: list[Setting], prefix: str) -> None:
        self._settings = {setting.key: setting for setting in settings}
        self._variables = {setting.variable: setting for setting in settings}
        self._prefix = prefix
        self._mistakes: list[str] = []
        self._values = {s.key: s.default for s in settings if not s.required}
        self.sources = dict.fromkeys(self._values, "default")

    def set_default(self, key: str, value: object) -> None:
        """Replace a default of the struct; a wrong key or value is a bug, not a mistake."""
        self._values[key] = _convert(self._settings[key], value, text=False)
        self.sources[key] = "default"

    def read_file(
        self, table: type[msgspec.Struct], file: Path, foreign_tables: Collection[str]
    ) -> None:
        """Take the settings of a TOML file."""
        try:
            text = file.read_text("utf-8")
            content = tomllib.loads(text)
        except OSError as error:
            self._mistakes.append(f"{file}: cannot be read: {error.strerror or error}")
        except UnicodeDecodeError:
            self._mistakes.append(f"{file}: is not UTF-8 text")
        except tomllib.TOMLDecodeError as error:
            self._mistakes.append(f"{file}: is not valid TOML: {printable(str(error))}")
        else:
            own = {key: value for key, value in content.items() if key not in foreign_tables}
            for key, value in self._flatten(table, own, "", file):
                source = f"{file}:{_line_of(text, key)}"
                self._take(key, _Given(f"{source}: {key}", source, value, text=False))

    def read_environment(self, environment: Mapping[str, str], ignored: Collection[str]) -> None:
        """Take the variables that begin with the prefix, in the order of their names."""
        for variable in sorted(environment):
            if not variable.startswith(self._prefix) or variable in ignored:
                continue
            setting = self._variables.get(variable)
            if setting is not None:
                given = _Given(variable, variable, environment[variable], text=True)
                self._take(setting.key, given)
            else:
                self._read_secret_file(variable, environment)

    def read_overrides(self, overrides: Sequence[str]) -> None:
        """Take ``key=value`` texts."""
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals:
                self._mistakes.append(f"--set {printable(key)}: expected key=value")
                continue
            self._take(key.strip(), _Given(f"--set {key.strip()}", "--set", value, text=True))

    def build(self, table: type[S]) -> S:
        """Return the struct, or raise with every mistake."""
        for setting in self._settings.values():
            if setting.key not in self._values and not self._mistakes:
                self._mistakes.append(
                    f"{setting.key}: is required: {setting.accepts} (or set {setting.variable})"
                )
        if not self._mistakes:
            try:
                return _assemble(table, self._values, "")
            except ValueError as error:
                self._mistakes.append(str(error))
        raise ConfigurationError(
            "\n".join(self._mistakes), hint="`config` lists every setting and what it accepts"
        )

    def _take(self, key: str, given: _Given) -> None:
        setting = self._settings.get(key)
        if setting is None:
            self._mistakes.append(_unknown(given.name, key, self._settings))
            return
        try:
            self._values[key] = _convert(setting, given.value, text=given.text)
        except ValueError:
            got = "" if setting.secret else f', got "{printable(shown(given.value), 80)}"'
            self._mistakes.append(f"{given.name}: expected {setting.accepts}{got}")
        else:
            self.sources[key] = given.source

    def _read_secret_file(self, variable: str, environment: Mapping[str, str]) -> None:
        named = variable.removesuffix("_FILE")
        setting = self._variables.get(named)
        if setting is None or named == variable or not setting.secret:
            secrets = [f"{name}_FILE" for name, s in self._variables.items() if s.secret]
            known = (*self._variables, *secrets)
            self._mistakes.append(_unknown(variable, variable, known))
            return
        if named in environment:
            self._mistakes.append(f"{variable}: {named} is set too; keep one of them")
            return
        try:
            text = Path(environment[variable]).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self._mistakes.append(f"{variable}: cannot read {environment[variable]}: {reason}")
            return
        self._take(setting.key, _Given(variable, variable, text, text=True))

    def _flatten(
        self, table: type[msgspec.Struct], content: Mapping[str, object], path: str, file: Path
    ) -> Iterator[tuple[str, object]]:
        below = {f.name: as_struct(f.type) for f in msgspec.structs.fields(table)}
        for name, value in content.items():
            struct = below.get(name)
            if struct is None:
                yield path + name, value
            elif isinstance(value, dict):
                yield from self._flatten(struct, value, f"{path}{name}.", file)
            else:
                self._mistakes.append(f"{file}: {path}{name}: expected a table")


def _convert(setting: Setting, value: object, *, text: bool) -> object:
    """Return the value in the setting's type; raises ValueError."""
    if text and isinstance(value, str):
        return _parse(setting.type, value)
    return msgspec.convert(value, type=setting.type, dec_hook=decode_hook)


def _parse(wanted: object, text: str) -> object:
    """Read a value from one line of text: lists with commas or as JSON, none as ``none``."""
    readings: list[object] = [None, text] if text.strip().lower() in ("none", "") else [text]
    if text.lstrip().startswith(("[", "{")):
        try:
            readings.append(msgspec.json.decode(text))
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError("not JSON") from error
    else:
        readings.append([part.strip() for part in text.split(",")] if text.strip() else [])
    for reading in readings:
        try:
            return msgspec.convert(reading, type=wanted, strict=False, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            mistake = error
    raise mistake


def _assemble(table: type[S], values: Mapping[str, object], path: str) -> S:
    arguments: dict[str, object] = {}
    for field in msgspec.structs.fields(table):
        key = path + field.name
        below = as_struct(field.type)
        arguments[field.name] = (
            values[key] if below is None else _assemble(below, values, f"{key}.")
        )
    return table(**arguments)


def _unknown(name: str, key: str, known: Collection[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"{printable(name)}: no such setting" + (f"; did you mean {near[0]}?" if near else "")


def _line_of(text: str, key: str) -> int:
    """Return the line on which a TOML file sets ``key`` (1 if it is written in a way unknown)."""
    table, _, name = key.rpartition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w.-]+)\s*\]", line)
        if header:
            current = header[1]
        found = re.match(r'\s*([\w."-]+)\s*=', line)
        if found and (f"{current}." if current else "") + found[1].replace('"', "") == key:
            return number
        if found and current == table and found[1] == name:
            return number
    return 1
