"""``ordermill events``: the global log, to read, to follow, to take away and to verify."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast
from urllib.parse import quote, urlencode

import click

from actors.cli import Options
from actors.commands.client import Json
from actors.commands.operating import FORMAT, Services, operator_command, print_json
from actors.commands.settings import load_settings
from actors.domain.events import EVENT_TYPES
from actors.order_events.verify import Fault, open_read_only
from actors.order_events.verify import verify as verify_log
from runtime.errors import Rejection
from runtime.wal import damage_at_rest

PAGE = 1000
WAIT_S = 20
POSITION_DIGITS_MAX = 15
ORDER = click.option("--order", metavar="ID", help="Of one order only.")
TYPE = click.option("--type", "type_", type=click.Choice(list(EVENT_TYPES)), help="Of one type.")
AFTER = click.option("--after", type=click.IntRange(0), default=0, help="A position.")
LINES = click.option("--format", "format_", type=click.Choice(["text", "jsonl"]), default="text")


@click.group()
def events() -> None:
    """Read, follow, export and verify the event log."""


@events.command("list")
@ORDER
@TYPE
@AFTER
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@LINES
@operator_command
def list_(
    services: Services, order: str | None, type_: str | None, after: int, limit: int, format_: str
) -> None:
    """List events by position, oldest first."""
    for shown, event in enumerate(_events(services, order, type_, after, min(limit, PAGE))):
        if shown == limit:
            click.echo(f"first {limit}; more with --limit or --after", err=True)
            break
        _print(event, format_)


@events.command()
@ORDER
@TYPE
@AFTER
@click.option("--follow/--no-follow", default=True, help="Wait for what comes.")
@LINES
@operator_command
def tail(
    services: Services,
    order: str | None,
    type_: str | None,
    after: int,
    follow: bool,
    format_: str,
) -> None:
    """Print events as they happen, until Ctrl-C."""
    for event in _events(services, order, type_, after, PAGE, wait_s=WAIT_S if follow else 0):
        _print(event, format_)


@events.command()
@click.argument("event_id", metavar="ID|POSITION")
@FORMAT
@operator_command
def show(services: Services, event_id: str, format_: str) -> None:
    """Show one event, by its id or by its position in the log (UTC, as all times are)."""
    event = _event_at(services, event_id)
    if format_ == "json":
        print_json("event", **event)
        return
    for name, value in event.items():
        click.echo(f"{name:<18} {json.dumps(value) if name == 'data' else value}")


@events.command()
@ORDER
@TYPE
@AFTER
@click.option("--out", type=click.File("w", lazy=False, atomic=True), default="-", help="A file.")
@operator_command
def export(
    services: Services, order: str | None, type_: str | None, after: int, out: TextIO
) -> None:
    """Write events as JSON, one a line, to a file or standard output."""
    count = 0
    for event in _events(services, order, type_, after, PAGE):
        out.write(_line(event) + "\n")
        count += 1
    click.echo(f"{count} events", err=True)


@events.command()
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="An orders.db.")
@FORMAT
@click.pass_obj
def verify(options: Options, file: Path | None, format_: str) -> int:
    """Read the whole log again and check it: exit 1 and the first fault if there is one.

    It reads the file, so it must run on the machine of order-events; that may run or be stopped.
    """
    path = file or Path(load_settings(options).settings.data_dir) / "orders.db"
    connection = open_read_only(path)
    fault, facts = damage_at_rest(path), {}
    try:
        found = verify_log(connection)
        facts = {"orders": found.orders, "events": found.events, "pending": found.pending}
    except Fault as error:
        fault = fault or str(error)
    finally:
        connection.close()
    if format_ == "json":
        print_json("verify", ok=not fault, file=str(path), fault=fault or None, **facts)
    elif fault:
        click.echo(f"FAIL  {fault}")
    else:
        click.echo("ok    " + ", ".join(f"{number} {name}" for name, number in facts.items()))
    return 1 if fault else 0


def _event_at(services: Services, name: str) -> Json:
    """Return the event of an id or position; Rejection not-found."""
    if name.isdecimal() and len(name) <= POSITION_DIGITS_MAX:
        path = f"/events?after={max(0, int(name) - 1)}&limit=1"
        data = cast("list[Json]", services.call("order-events", "GET", path)["data"])
        if not data or data[0]["position"] != int(name):
            text = "No event has this position (404 not-found)"
            raise Rejection("not-found", text, status_hint=404)
        return data[0]
    return services.call("order-events", "GET", f"/events/{quote(name, safe='')}")


def published(services: Services) -> Iterator[Json]:
    """Yield all events that go to the broker, by position."""
    return (event for event in _events(services, None, None, 0, PAGE) if event["published"])


def _events(
    services: Services,
    order: str | None,
    type_: str | None,
    after: int,
    limit: int,
    *,
    wait_s: int = 0,
) -> Iterator[Json]:
    """Yield events after a position: those that are there or, with ``wait_s``, without an end."""
    given = {"order": order, "type": type_, "limit": limit, "wait": wait_s}
    query = {name: value for name, value in given.items() if value is not None}
    while True:
        path = f"/events?{urlencode({**query, 'after': after})}"
        page = services.call("order-events", "GET", path)
        data = cast("list[Json]", page["data"])
        yield from data
        after = cast("int", page["last"])
        if not data and not wait_s:
            return


def _print(event: Json, format_: str) -> None:
    if format_ == "jsonl":
        click.echo(_line(event))
        return
    name = str(event["type"]).partition("/")[0]
    time = str(event["time"]).replace("T", " ").removesuffix("Z")
    click.echo(f"{event['position']:>6} {time} {event['order_id']} v{event['version']:<3} {name}")


def _line(event: Json) -> str:
    return json.dumps({"schema": "ordermill.event/v1", **event})
