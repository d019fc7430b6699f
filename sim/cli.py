"""``ordermill sim``: the simulator's commands, each in a file of its own below `sim.commands`.

Results go to standard output, everything else to standard error. Exit codes: 0 ok; 1 a violation
was found (or a mutation was not); 2 usage; 3 environment; 4 not deterministic, or a replay that
diverged; 130 interrupted.
"""

import click

from actors.commands.lazy import LazyGroup, Table

COMMANDS: Table = {
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


@click.group(cls=LazyGroup, table=COMMANDS)
def sim() -> None:
    """Simulate the whole system, break what is around it, and judge."""
