"""``ordermill audit``: what operators did, as each service has noted it."""

from typing import cast

import click

from actors.commands.client import Json
from actors.commands.operating import FORMAT, Services, operator_command, print_json
from actors.domain.event_json import rfc3339
from actors.services import CONSUMERS, ServiceName

SERVICES: tuple[ServiceName, ...] = ("order-events", *CONSUMERS)


@click.group()
def audit() -> None:
    """See what operators did."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@FORMAT
@operator_command
def list_(services: Services, limit: int, format_: str) -> None:
    """List what was done lately, oldest first, with how it ended."""
    rows: list[Json] = []
    for service in SERVICES:
        answer = services.call(service, "GET", f"/audit?limit={limit}")
        rows += [{"service": service, **row} for row in cast("list[Json]", answer["data"])]
    rows.sort(key=lambda row: (cast("int", row["at_ms"]), cast("int", row["sequence"])))
    if format_ == "json":
        print_json("audit", data=rows[-limit:])
        return
    for row in rows[-limit:]:
        click.echo(
            f"{rfc3339(cast('int', row['at_ms']))}  {row['actor']}  {row['action']}"
            f"  {row['target']}  {row['outcome']}  {row['reason']}"
        )
