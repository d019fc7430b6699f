"""``ordermill bench compare``: what became faster, what slower, and what only looks so."""

from pathlib import Path

import click

from bench.compare import FASTER, SLOWER, Change, changes
from bench.results import load_results
from runtime.errors import ConfigurationError

FAILED = 1
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("older", metavar="A", type=FILE)
@click.argument("newer", metavar="B", type=FILE)
@click.option("--fail-if", metavar="slower:P%", help="Exit with 1 if ours became slower by P%.")
def compare(older: Path, newer: Path, fail_if: str | None) -> int:
    """Compare the results in A and B: CPU time of an operation, contender by contender.

    What differs by less than the rounds differ among themselves is called the same. If a rival,
    whose code did not change, became slower too, then the machine did.
    """
    limit = None if fail_if is None else _percent(fail_if)
    found = changes(load_results(older), load_results(newer))
    for change in found:
        click.echo(change.line())
    if not found:
        click.echo("nothing is in both")
    for word in (FASTER, SLOWER):
        click.echo(f"{sum(change.verdict == word for change in found)} {word}", err=True)
    return FAILED if limit is not None and _slower(found, limit) else 0


def _percent(text: str) -> float:
    kind, _, value = text.partition(":")
    try:
        if kind != SLOWER:
            raise ValueError
        return float(value.removesuffix("%"))
    except ValueError:
        raise ConfigurationError(f"--fail-if {text!r}: write it like slower:10%") from None


def _slower(found: list[Change], percent: float) -> bool:
    return any(
        change.role == "ours" and change.verdict == SLOWER and change.percent > percent
        for change in found
    )
