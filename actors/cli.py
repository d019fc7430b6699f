"""The ``ordermill`` command: global options, lazy loading of commands, and the exit codes.

0 ok; 1 a check failed or a rule refused; 2 usage or configuration; 3 environment (broker, store,
port, server unreachable); 74 the disk failed at a commit; 130 interrupted. Results go to standard
output, everything else to standard error. A crashed service never gives 0.
"""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

import click

from runtime.endings import fatal_error, sole_error
from runtime.errors import (
    ConfigurationError,
    EnvironmentUnready,
    Rejection,
    RestartIntensityExceeded,
    StoreBroken,
    Unavailable,
)
from runtime.redaction import describe_error, printable

COMMANDS: Mapping[str, str] = {
    "up": "actors.commands.up:up",
    "serve": "actors.commands.serve:serve",
    "demo": "actors.commands.demo:demo",
    "broker": "actors.commands.broker:broker",
    "check": "actors.commands.check:check",
    "config": "actors.commands.config:config",
    "tokens": "actors.commands.tokens:tokens",
    "order": "actors.commands.order:order",
    "events": "actors.commands.events:events",
    "dlq": "actors.commands.dlq:dlq",
    "outbox": "actors.commands.outbox:outbox",
    "topology": "actors.commands.topology:command",
    "store": "actors.commands.store:store",
    "audit": "actors.commands.audit:audit",
    "docs": "actors.commands.docs:docs",
    "version": "actors.commands.version:version",
}
SUMMARIES: Mapping[str, str] = {
    "up": "Run the whole system in one process.",
    "serve": "Run some of the services in this process, the rest in others.",
    "demo": "Run one order through a throw-away system and watch it.",
    "broker": "Run the embedded AMQP 0-9-1 broker on its own.",
    "check": "Check configuration, store, broker, ports and clock.",
    "config": "Show, check and explain the configuration.",
    "tokens": "Print the tokens of one service, for a process that has no others.",
    "order": "Place, show, watch and change orders of a running system.",
    "events": "Read, follow, export and verify the event log.",
    "dlq": "List parked messages, give them back, or throw them away.",
    "outbox": "Messages on their way to the broker: how many, how old, lost ones.",
    "topology": "Exchanges, queues, bindings and consumers, declared or live.",
    "store": "Look at the databases of a data folder, copy and upgrade them.",
    "audit": "List what operators did.",
    "docs": "Print the reference documents that are made from the code.",
    "version": "Show what is installed.",
}
LogFormat = Literal["auto", "text", "json"]
PLUGINS = "ordermill.commands"
INTERRUPTED = 130
EX_IOERR = 74  # sysexits.h
_LINE_MAX = 2000
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Options:
    """The global options, as given; ``environment`` is the process's own."""

    config: Path | None
    overrides: tuple[str, ...]
    verbosity: int
    log_format: LogFormat | None
    color: str
    url: str | None
    token: str | None
    traceback: bool
    environment: Mapping[str, str] = field(default_factory=dict)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called: ``--help`` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return our commands in reading order, then those of other distributions."""
        return [*COMMANDS, *sorted(_plugins())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None where there is none of that name."""
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            command: object = getattr(importlib.import_module(module), name)
        elif (plugin := _plugins().get(cmd_name)) is not None:
            command = plugin.load()
        else:
            return None
        assert isinstance(command, click.Command), f"{cmd_name} is not a command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing ours."""
        with formatter.section("Commands"):
            rows = [(name, self._summary(ctx, name)) for name in self.list_commands(ctx)]
            formatter.write_dl(rows)

    def _summary(self, ctx: click.Context, name: str) -> str:
        """Return our own words; of another distribution's command, the first ones of its help."""
        if name in SUMMARIES:
            return SUMMARIES[name]
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(limit=80)


def _plugins() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=PLUGINS)}


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML file.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one key.")
@click.option("-v", "--verbose", count=True, help="Log more.")
@click.option("-q", "--quiet", count=True, help="Log less.")
@click.option("--log-format", type=click.Choice(["auto", "text", "json"]))
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto")
@click.option("--url", help="A running system (default: where http.port says).")
@click.option("--token", help="Access, operator or viewer token for it.")
@click.option("--traceback", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def group(
    ctx: click.Context,
    config: Path | None,
    overrides: tuple[str, ...],
    verbose: int,
    quiet: int,
    log_format: LogFormat | None,
    color: str,
    url: str | None,
    token: str | None,
    traceback: bool,
) -> None:
    """Event-sourced order processing on supervised actors and RabbitMQ."""
    environment = dict(os.environ)
    ctx.obj = Options(
        config=config or _path(environment.get("ORDERMILL_CONFIG")),
        overrides=overrides,
        verbosity=verbose - quiet,
        log_format=log_format,
        color="never" if color == "auto" and environment.get("NO_COLOR") else color,
        url=url or environment.get("ORDERMILL_URL"),
        token=token or environment.get("ORDERMILL_TOKEN"),
        traceback=traceback,
        environment=environment,
    )
    if color == "always" or ctx.obj.color == "never":
        ctx.color = color == "always"


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code that the outcome deserves."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = group.main(arguments, prog_name="ordermill", standalone_mode=False)
    except BaseException as error:
        sole = fatal_error(error) or sole_error(error)
        code = _exit_code(sole)
        if code is None:
            raise
        if "--traceback" in arguments:
            with suppress(OSError):
                traceback.print_exception(error)
    _flush()
    sys.exit(code if isinstance(code, int) else 0)


def _flush() -> None:
    """Write what is left of the output, or give it up: else Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, stream.fileno())
            os.close(void)


def _exit_code(error: BaseException) -> int | None:
    """Say what went wrong; return the exit code, or None for a bug of ours."""
    match error:
        case click.exceptions.Abort() | KeyboardInterrupt():
            return INTERRUPTED
        case click.ClickException():
            with suppress(OSError):
                error.show()
            return 2
        case EnvironmentUnready() | Unavailable():
            code = 3
        case ConfigurationError():
            code = 2
        case StoreBroken():
            code = EX_IOERR
        case Rejection() | RestartIntensityExceeded():
            code = 1
        case OSError(errno=number) if number in _DISK:
            code = 3
        case _:
            return None
    _report(error)
    return code


def _report(error: BaseException) -> None:
    """Print error, cause and hint. A cause is often a library's error, which may quote anything."""
    lines = ["error: " + "\n".join(printable(line, _LINE_MAX) for line in str(error).splitlines())]
    cause = error.__cause__
    while cause is not None:
        line = f"  cause: {describe_error(cause)}"
        if line != lines[-1]:  # a library that wraps another's error says the same again
            lines.append(line)
        cause = cause.__cause__
    hint = getattr(error, "hint", "")
    if hint:
        lines.append(f"  hint: {hint}")
    with suppress(OSError):  # standard error may be a file on the very disk that is full
        click.echo("\n".join(lines), err=True)
