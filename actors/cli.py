"""The ``ordermill`` command: global options, lazy loading of commands, and the exit codes.

0 ok; 1 a check failed or a rule refused; 2 usage or configuration; 3 environment (broker, store,
port, server unreachable); 74 the disk failed at a commit; 130 interrupted. Results go to standard
output, everything else to standard error. A crashed service never gives 0.
"""

import errno
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

from actors.commands.lazy import LazyGroup, Table
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

COMMANDS: Table = {
    "up": ("actors.commands.up:up", "Run the whole system in one process."),
    "serve": (
        "actors.commands.serve:serve",
        "Run some of the services in this process, the rest in others.",
    ),
    "demo": (
        "actors.commands.demo:demo",
        "Run one order through a throw-away system and watch it.",
    ),
    "broker": ("actors.commands.broker:broker", "Run the embedded AMQP 0-9-1 broker on its own."),
    "check": (
        "actors.commands.check:check",
        "Check configuration, store, broker, ports and clock.",
    ),
    "config": ("actors.commands.config:config", "Show, check and explain the configuration."),
    "tokens": (
        "actors.commands.tokens:tokens",
        "Print the tokens of one service, for a process that has no others.",
    ),
    "order": (
        "actors.commands.order:order",
        "Place, show, watch and change orders of a running system.",
    ),
    "events": ("actors.commands.events:events", "Read, follow, export and verify the event log."),
    "dlq": ("actors.commands.dlq:dlq", "List parked messages, give them back, or throw them away."),
    "outbox": (
        "actors.commands.outbox:outbox",
        "Messages on their way to the broker: how many, how old, lost ones.",
    ),
    "topology": (
        "actors.commands.topology:command",
        "Exchanges, queues, bindings and consumers, declared or live.",
    ),
    "store": (
        "actors.commands.store:store",
        "Look at the databases of a data folder, copy and upgrade them.",
    ),
    "audit": ("actors.commands.audit:audit", "List what operators did."),
    "docs": (
        "actors.commands.docs:docs",
        "Print the reference documents that are made from the code.",
    ),
    "version": ("actors.commands.version:version", "Show what is installed."),
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


class Commands(LazyGroup):
    """Our commands, and behind them those of other distributions."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return our commands in reading order, then the others."""
        return [*super().list_commands(ctx), *sorted(_plugins())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None where there is none of that name."""
        plugin = None if cmd_name in COMMANDS else _plugins().get(cmd_name)
        if plugin is None:
            return super().get_command(ctx, cmd_name)
        command = plugin.load()
        assert isinstance(command, click.Command), f"{cmd_name} is not a command"
        return command

    def summary(self, ctx: click.Context, cmd_name: str) -> str:
        """Return our own words; of another distribution's command, the first ones of its help."""
        if cmd_name in COMMANDS:
            return super().summary(ctx, cmd_name)
        command = self.get_command(ctx, cmd_name)
        return "" if command is None else command.get_short_help_str(limit=80)


def _plugins() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=PLUGINS)}


@click.group(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
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
