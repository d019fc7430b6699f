"""The texts of the reference documents; each is made from the one place that knows its subject."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata

import click
import msgspec

from actors.asyncapi import describe_messages
from actors.cli import PLUGINS, group
from actors.domain.events import EVENT_TYPES
from actors.domain.order import STATUS_TABLES
from actors.domain.rules import GUARDS
from actors.gateway.openapi import describe
from actors.gateway.operations import OPERATIONS
from actors.gateway.problem_table import PROBLEMS
from actors.settings import Settings
from actors.system import EVENTS, METRICS
from actors.topology import SUBSCRIPTIONS, topology
from runtime import signals
from runtime.config import describe as describe_settings

DISTRIBUTION = "ordermill"
_WIDTH = 100
_MADE = "<!-- Made from the code by: ordermill docs {name} --out docs/{name}.md -->"


def openapi() -> str:
    """Return the OpenAPI document of a shop in test mode, at no particular address."""
    return _pretty(describe(OPERATIONS, metadata.version(DISTRIBUTION), ""))


def asyncapi() -> str:
    """Return the AsyncAPI document of the default settings."""
    settings = Settings()
    declared = topology(settings.retry.tiers_s, settings.broker.queue_type)
    return _pretty(describe_messages(declared, SUBSCRIPTIONS, metadata.version(DISTRIBUTION)))


def config() -> str:
    """Return every setting in a table."""
    rows = [
        (f"`{row.key}`", _code(row.default_text), row.accepts, row.description)
        for row in describe_settings(Settings)
    ]
    words = (
        "Defaults, then `ordermill.toml` (`--config FILE`), then variables, then `--set`: the last "
        "one wins. The key `http.port` is `port` in the table `[http]` of the file, and the "
        "variable `ORDERMILL_HTTP_PORT`. A secret may be in a file that `VARIABLE_FILE` names."
    )
    return _document(
        "config", "Settings", words, _table(("key", "default", "accepts", "what it is"), rows)
    )


def cli() -> str:
    """Return the help of every command."""
    words = "Every command, as `--help` shows it. Results go to standard output, the rest to "
    words += "standard error."
    return _document("cli", "Command line", words, _helps(group, None, "ordermill"))


def metrics() -> str:
    """Return every metric, and every event of the log."""
    rows = [
        (f"`ordermill_{row.name}`", row.kind, _codes(row.labels), row.description)
        for row in (*signals.METRICS, *METRICS)
    ]
    events = {**signals.EVENTS, **EVENTS}
    lines = [
        *_table(("metric", "kind", "labels", "what it counts"), rows),
        "",
        "## Log",
        "",
        "One line an event, with these fields and no others.",
        "",
        *_table(
            ("event", "fields"), [(f"`{name}`", _codes(events[name])) for name in sorted(events)]
        ),
    ]
    words = "What `/metrics` of every service shows, in Prometheus' text format; durations are in "
    words += "seconds. Names are a contract."
    return _document("metrics", "Metrics and log events", words, lines)


def problems() -> str:
    """Return every problem type."""
    lines: list[str] = []
    for row in PROBLEMS.values():
        again = (
            "The same request may succeed later." if row.retry else "Repeating it does not help."
        )
        lines += [
            f"## {row.slug}",
            "",
            f"**{row.status} {row.title}.** {row.meaning}",
            "",
            f"*When:* {row.when}",
            "",
            f"*What to do:* {row.todo} {again}",
            "",
        ]
    words = "Every refusal of the HTTP API is a problem document (RFC 9457); its `type` ends with "
    words += "one of these, and leads to the same words."
    return _document("problems", "Problem types", words, lines[:-1])


def orders() -> str:
    """Return what can happen to an order, who states it, what must come before, and statuses."""
    rows = [
        (
            f"`{name}`",
            EVENT_TYPES[name].app_id,
            _code(EVENT_TYPES[name].routing_key if EVENT_TYPES[name].exchange else ""),
            _codes(guard.needs),
            _codes([*guard.blocked_by]),
        )
        for name, guard in GUARDS.items()
    ]
    lines = _table(("event", "stated by", "published as", "needs", "refused after"), rows)
    for name, table in STATUS_TABLES.items():
        lines += ["", f"## {name}", "", "The first one whose event has happened.", ""]
        lines += _table(("status", "event"), [(f"`{one}`", f"`{event}`") for one, event in table])
    words = "An order is what its events add up to. An event is refused while one that it needs is "
    words += "missing, and after one that blocks it."
    return _document("orders", "Orders", words, lines)


def _pretty(document: bytes) -> str:
    return msgspec.json.format(document, indent=2).decode() + "\n"


def _document(name: str, title: str, words: str, lines: Iterable[str]) -> str:
    return "\n".join([_MADE.format(name=name), f"# {title}", "", words, "", *lines]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _helps(command: click.Command, above: click.Context | None, name: str) -> Iterator[str]:
    """Yield the help of a command and of all below it, without those of other distributions."""
    context = click.Context(
        command,
        parent=above,
        info_name=name,
        terminal_width=_WIDTH,
        help_option_names=["-h", "--help"] if above is None else None,
    )
    if above is not None:
        yield ""
    yield from (f"## {context.command_path}", "", "```text")
    yield from (*command.get_help(context).splitlines(), "```")
    if isinstance(command, click.Group):
        foreign = _foreign()
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and (above is not None or below not in foreign):
                yield from _helps(found, context, below)


def _foreign() -> set[str]:
    points = metadata.entry_points(group=PLUGINS)
    return {point.name for point in points if point.dist and point.dist.name != DISTRIBUTION}
