"""``ordermill sim probes``: what the last sweep reached, what it never did first."""

from pathlib import Path

import click
import msgspec

from runtime.errors import ConfigurationError
from sim.commands.options import FORMAT, OK, REPORT, VIOLATION
from sim.probes.table import PROBES
from sim.report.sweep_file import read_sweep


@click.command()
@REPORT
@FORMAT
def probes(report: Path, format_: str) -> int:
    """List the probes of the last sweep with their hits, never-hit ones first.

    Exits with 1 if there are such, or properties that no run had a case for.
    """
    sweep = read_sweep(report)
    if sweep is None:
        raise ConfigurationError(
            f"no sweep is recorded in {report}", hint="ordermill sim run makes one"
        )
    rows = sorted(sweep.probes.items(), key=lambda row: (row[1] > 0, row[0]))
    never = sorted(name for name, count in sweep.cases.items() if not count)
    if format_ == "json":
        data = {
            "schema": "ordermill.sim.probes/v1",
            "runs": len(sweep.rows),
            "probes": dict(rows),
            "never_evaluated": never,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    else:
        for name, count in rows:
            claim = PROBES[name].claim if name in PROBES else ""
            head = f"{count or 'NEVER':>8}  {name:<46}"
            click.echo(head.rstrip() if count else click.wrap_text(claim, 98, head, " " * 12))
        for name in never:
            click.echo(f"{'NO CASE':>8}  {name}")
        hit = sum(count > 0 for _, count in rows)
        click.echo(f"{hit} of {len(rows)} probes hit in {len(sweep.rows)} runs ({sweep.base})")
    return VIOLATION if never or any(not count for _, count in rows) else OK
