"""``ordermill sim``: the simulator's commands, each in a file of its own below `sim.commands`.

Results go to standard output, everything else to standard error. Exit codes: 0 ok; 1 a violation
was found (or a mutation was not); 2 usage; 3 environment; 4 not deterministic, or a replay that
diverged; 130 interrupted.
"""

import importlib
from collections.abc import Mapping

import click

COMMANDS: Mapping[str, tuple[str, str]] = {
    "list": ("sim.commands.list:list_", "Scenarios, kinds of faults, properties, mutations."),
    "run": ("sim.commands.run:run", "Run seeds of scenarios, and judge every run."),
    "replay": ("sim.commands.replay:replay", "Run one run again, and see what happened."),
    "shrink": ("sim.commands.shrink:shrink", "Make a failing run small."),
    "diff": ("sim.commands.diff:diff", "Compare two runs, and show the first difference."),
    "mutate": ("sim.commands.mutate:mutate", "Plant known defects, and see them caught."),
    "probes": ("sim.commands.probes:probes", "What the last sweep reached, and what it did not."),
    "corpus": ("sim.commands.corpus:corpus", "Past failures, which every sweep runs first."),
    "view": ("sim.commands.view:view", "Make an index of the reports."),
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
def sim() -> None:
    """Simulate the whole system, break what is around it, and judge."""
