"""``ordermill bench``: measure, compare, report; each command in a file of its own.

Results go to standard output, progress to standard error. Exit codes: 0 ok; 1 a target that must be
met is not (or a threshold, or a comparison); 2 usage; 3 environment (a package or RabbitMQ is
missing); 130 interrupted.
"""

import importlib
from collections.abc import Mapping

import click

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("bench.commands.run:run", "Measure cases, each beside its rivals, in turns."),
    "report": ("bench.commands.report:report", "The table, the figures, one page of HTML."),
    "compare": ("bench.commands.compare:compare", "Compare two results: same, faster, slower."),
}


class LazyCommands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in reading order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: object = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command), f"{cmd_name} is not a command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyCommands)
def bench() -> None:
    """Measure every hot path beside its rivals and its bare limit."""
