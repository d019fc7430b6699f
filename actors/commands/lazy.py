"""Groups of commands that are imported when they are called, so that ``--help`` stays fast."""

import importlib
from collections.abc import Mapping
from typing import Any

import click

Table = Mapping[str, tuple[str, str]]
"""Where each command is (``module:name``), and what it does in a line; in reading order."""


class LazyGroup(click.Group):
    """The commands of ``table``."""

    def __init__(self, *args: Any, table: Table, **options: Any) -> None:
        super().__init__(*args, **options)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in reading order."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if cmd_name not in self._table:
            return None
        module, _, name = self._table[cmd_name][0].partition(":")
        command: object = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command), f"{cmd_name} is not a command"
        return command

    def summary(self, ctx: click.Context, cmd_name: str) -> str:
        """Return what a command does, in a line."""
        return self._table[cmd_name][1]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            rows = [(name, self.summary(ctx, name)) for name in self.list_commands(ctx)]
            formatter.write_dl(rows)
