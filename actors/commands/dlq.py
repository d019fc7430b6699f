"""``ordermill dlq``: messages that were parked, and what becomes of them."""

import json
from collections.abc import Callable
from typing import TypeVar, cast
from urllib.parse import quote, urlencode

import click

from actors.commands.client import Json
from actors.commands.operating import (
    FORMAT,
    QUEUES,
    Services,
    confirm,
    operator_command,
    print_json,
)
from actors.domain.event_json import rfc3339
from actors.domain.events import EVENT_TYPES
from actors.services import CONSUMERS, ServiceName
from runtime.errors import ConfigurationError, Rejection

F = TypeVar("F", bound=Callable[..., object])
SAMPLE = 10
MAX = 500
TYPE = click.option("--type", "type_", type=click.Choice(list(EVENT_TYPES)), help="Of one type.")
_SELECTING = (
    click.argument("ids", nargs=-1),
    click.option("--all", "all_", is_flag=True, help="All of them (of --queue, of --type)."),
    QUEUES,
    TYPE,
    click.option("--max", "max_", type=click.IntRange(1, MAX), default=MAX, show_default=True),
    click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)


def _selecting(command: F) -> F:
    for option in reversed(_SELECTING):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """Look at parked messages, give them back to their queue, or throw them away."""


@dlq.command("list")
@QUEUES
@TYPE
@FORMAT
@operator_command
def list_(services: Services, queue: str | None, type_: str | None, format_: str) -> None:
    """List parked messages, oldest first."""
    letters = _find(services, queue, type_)
    if format_ == "json":
        print_json("dead-letters", data=letters)
        return
    for letter in letters:
        _print(letter)
    click.echo(f"{len(letters)} parked", err=True)


@dlq.command()
@click.argument("message_id")
@QUEUES
@FORMAT
@operator_command
def show(services: Services, message_id: str, queue: str | None, format_: str) -> int:
    """Show one parked message with its headers and body."""
    for name in _queues(queue):
        try:
            path = f"/dead-letters/{quote(message_id, safe='')}"
            letter = services.call(name, "GET", path)
        except Rejection as refusal:
            if refusal.code != "not-found":
                raise
            continue
        if format_ == "json":
            print_json("dead-letter", queue=name, **letter)
            return 0
        click.echo(f"{'queue':<18} {name}")
        for field, value in letter.items():
            shown = json.dumps(value) if isinstance(value, dict) else value
            click.echo(f"{field:<18} {shown}")
        return 0
    click.echo(f"error: {message_id} is not parked", err=True)
    click.echo("  hint: see what is: ordermill dlq list", err=True)
    return 1


@dlq.command()
@_selecting
@click.option("--reason", default="no reason given", help="For the audit.")
@operator_command
def replay(
    services: Services,
    ids: tuple[str, ...],
    all_: bool,
    queue: str | None,
    type_: str | None,
    max_: int,
    dry_run: bool,
    yes: bool,
    reason: str,
) -> int:
    """Give parked messages back to their queue: same ids, attempts counted from 0."""
    letters = _selected(services, ids, all_, queue, type_)[:max_]
    return _deal(services, "replay", letters, dry_run, yes, reason)


@dlq.command()
@_selecting
@click.option("--reason", required=True, help="For the audit.")
@operator_command
def discard(
    services: Services,
    ids: tuple[str, ...],
    all_: bool,
    queue: str | None,
    type_: str | None,
    max_: int,
    dry_run: bool,
    yes: bool,
    reason: str,
) -> int:
    """Throw parked messages away, for good."""
    letters = _selected(services, ids, all_, queue, type_)[:max_]
    return _deal(services, "discard", letters, dry_run, yes, reason)


def _queues(queue: str | None) -> list[ServiceName]:
    return [name for name in CONSUMERS if queue in (None, name)]


def _find(services: Services, queue: str | None, type_: str | None) -> list[Json]:
    query = f"?{urlencode({'type': type_})}" if type_ else ""
    answers = [services.call(name, "GET", f"/dead-letters{query}") for name in _queues(queue)]
    return [letter for answer in answers for letter in cast("list[Json]", answer["data"])]


def _selected(
    services: Services,
    ids: tuple[str, ...],
    all_: bool,
    queue: str | None,
    type_: str | None,
) -> list[Json]:
    if bool(ids) == all_:
        raise ConfigurationError(
            "which messages?", hint="name their ids (ordermill dlq list), or say --all"
        )
    letters = _find(services, queue, type_)
    chosen = [letter for letter in letters if all_ or letter["id"] in ids]
    missing = [one for one in ids if one not in [letter["id"] for letter in chosen]]
    if missing:
        raise Rejection("not-found", f"not parked: {', '.join(missing)}", status_hint=404)
    return chosen


def _deal(
    services: Services, action: str, letters: list[Json], dry_run: bool, yes: bool, reason: str
) -> int:
    """Show what was chosen, ask, and have each service do exactly that."""
    click.echo(f"{'would ' if dry_run else ''}{action} {len(letters)} messages", err=True)
    for letter in letters[:SAMPLE]:
        _print(letter, err=True)
    if len(letters) > SAMPLE:
        click.echo(f"  ... and {len(letters) - SAMPLE} more", err=True)
    if dry_run or not letters:
        return 0
    confirm(f"{action} {len(letters)} messages?", yes)
    dealt = 0
    for queue in CONSUMERS:
        chosen = [letter["id"] for letter in letters if letter["queue"] == queue]
        if chosen:
            body = {"ids": chosen, "max": len(chosen), "reason": reason}
            answer = services.call(queue, "POST", f"/dead-letters/{action}", body)
            dealt += len(cast("list[Json]", answer["data"]))
    click.echo(f"{action}: {dealt} of {len(letters)}")
    return 0 if dealt == len(letters) else 1


def _print(letter: Json, *, err: bool = False) -> None:
    at_s = cast("int", letter["parked_at_s"])
    when = rfc3339(at_s * 1000) if at_s else "-"
    came_back = "  came back" if letter["returned"] else ""
    click.echo(
        f"{letter['queue']:<12} {letter['id']}  {letter['type']}  {letter['reason']}"
        f" {letter['error']}  attempts {letter['attempts']}  {when}{came_back}",
        err=err,
    )
