"""``ordermill sim list``: what there is to run, to break, to claim, and to plant."""

from collections.abc import Mapping

import click
import msgspec

from sim.commands.options import FORMAT, OK
from sim.faults.table import KINDS
from sim.mutations.catalogue import MUTATIONS, claim_of
from sim.probes.table import PROBES
from sim.report.verdicts import claims
from sim.scenarios import SCENARIOS

WIDTH = 98


@click.command("list")
@FORMAT
def list_(format_: str) -> int:
    """List scenarios, kinds of faults, properties, probes and mutations, each with what it is."""
    tables: dict[str, Mapping[str, str]] = {
        "scenarios": {name: _first(scenario.__doc__) for name, scenario in SCENARIOS.items()},
        "faults": {name: kind.what for name, kind in KINDS.items()},
        "properties": claims(),
        "probes": {name: probe.claim for name, probe in PROBES.items()},
        "mutations": {name: claim_of(name) for name in MUTATIONS},
    }
    if format_ == "json":
        data = {"schema": "ordermill.sim.list/v1", **tables}
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
        return OK
    for title, rows in tables.items():
        click.echo(f"{title} ({len(rows)})")
        width = max(len(name) for name in rows)
        for name, what in rows.items():
            click.echo(click.wrap_text(what, WIDTH, f"  {name:<{width}}  ", " " * (width + 4)))
    return OK


def _first(text: str | None) -> str:
    return " ".join((text or "").split())
