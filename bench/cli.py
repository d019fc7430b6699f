"""``ordermill bench``: measure, compare, report; each command in a file of its own.

Results go to standard output, progress to standard error. Exit codes: 0 ok; 1 a target that must be
met is not (or a threshold, or a comparison); 2 usage; 3 environment (a package or RabbitMQ is
missing); 130 interrupted.
"""

import click

from actors.commands.lazy import LazyGroup, Table

COMMANDS: Table = {
    "run": ("bench.commands.run:run", "Measure cases, each beside its rivals, in turns."),
    "report": ("bench.commands.report:report", "The table, the figures, one page of HTML."),
    "compare": ("bench.commands.compare:compare", "Compare two results: same, faster, slower."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def bench() -> None:
    """Measure every hot path beside its rivals and its bare limit."""
