"""``ordermill check``: is everything there that a start needs? One line each, with what to do."""

import platform
import sqlite3
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import anyio
import click
import msgspec

import runtime
from actors.cli import Options
from actors.commands.operating import FORMAT, print_json
from actors.commands.settings import load_settings
from actors.messaging import EMBEDDED
from actors.process import preflight
from actors.settings import Internal, Settings
from runtime.errors import ConfigurationError
from runtime.host import production_host
from runtime.wal import damage_at_rest

WAL_RESET_FIXED = (3, 51, 3)
WIDTH = 100
CLOCK_S_MIN = 1_700_000_000  # November 2023: an earlier clock was never set


class Failed(Exception):
    """A check found something wrong: what, and what to do about it."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.todo = todo


class Checked(msgspec.Struct, frozen=True):
    """How one check went: what was found, and what to do about it where that is not ``ok``."""

    name: str
    ok: bool
    found: str
    todo: str = ""


@click.command()
@click.option("--only", help="Comma separated: python,config,store,broker,ports,clock.")
@FORMAT
@click.pass_obj
def check(options: Options, only: str | None, format_: str) -> int:
    """Check configuration, store, broker, ports and clock."""
    checks: dict[str, Callable[[Settings], str]] = {
        "python": _python,
        "config": lambda _: _config(options),
        "store": _store,
        "broker": _broker,
        "ports": _ports,
        "clock": _clock,
    }
    names = only.split(",") if only else list(checks)
    unknown = [name for name in names if name not in checks]
    if unknown:
        raise ConfigurationError(f"--only {unknown[0]}: one of {', '.join(checks)}")
    settings = load_settings(options).settings
    found = [_checked(name, checks[name], settings, say=format_ == "text") for name in names]
    failed = sum(not row.ok for row in found)
    if format_ == "json":
        print_json("check", ok=not failed, data=msgspec.to_builtins(found))
    elif failed:
        click.echo(f"{failed} of {len(names)} failed")
    return 3 if failed else 0


def _checked(
    name: str, run: Callable[[Settings], str], settings: Settings, *, say: bool
) -> Checked:
    try:
        row = Checked(name, True, run(settings))
    except Failed as failed:
        row = Checked(name, False, str(failed), failed.todo)
    except ConfigurationError as error:
        row = Checked(name, False, str(error), error.hint)
    if say:
        click.echo("\n".join(_lines(row)))
    return row


def _lines(row: Checked) -> list[str]:
    """Return a line; two where one would be longer than a terminal is wide."""
    line = f"{'ok  ' if row.ok else 'FAIL'}  {row.name:<8} {row.found}"
    if not row.todo:
        return [line]
    whole = f"{line}   -> {row.todo}"
    return [whole] if len(whole) <= WIDTH else [line, f"{'':<15}-> {row.todo}"]


def _python(_: Settings) -> str:
    if sys.flags.optimize:
        raise Failed("python -O removes the assertions we rely on", "run without -O")
    installed = Path(str(metadata.distribution("ordermill").locate_file("runtime")))
    ours = Path(runtime.__path__[0])
    if "site-packages" in installed.parts and installed.exists() and not installed.samefile(ours):
        raise Failed(
            f"another package named runtime is imported, from {ours}",
            "install ordermill into a virtual environment of its own",
        )
    sqlite = sqlite3.sqlite_version
    note = "" if sqlite3.sqlite_version_info >= WAL_RESET_FIXED else " (one process per file)"
    return f"{platform.python_version()}, sqlite {sqlite}{note}"


def _config(options: Options) -> str:
    sources = load_settings(options).sources.values()
    given = [source for source in sources if source != "default"]
    some = "1 setting" if len(given) == 1 else f"{len(given)} settings"
    return f"{some} given, the rest defaults"


def _store(settings: Settings) -> str:
    host = production_host(Path(settings.data_dir))
    for path in sorted(host.disk.root.glob("*.db")):
        host.disk.lock(path.name).release()
        if damage := damage_at_rest(path) or _damage_inside(path):
            raise Failed(damage, "restore the newest backup")
    return f"{settings.data_dir} is writable and free"


def _damage_inside(path: Path) -> str:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    finally:
        connection.close()
    return "" if verdict == "ok" else f"{path}: {verdict.splitlines()[-1]}"


def _broker(settings: Settings) -> str:
    if settings.broker.url.reveal() == EMBEDDED:
        return EMBEDDED
    anyio.run(preflight, settings)
    return "reachable, account accepted"


def _ports(settings: Settings) -> str:
    rows = {
        "http": Internal(bind=settings.http.bind, port=settings.http.port),
        "order_events": settings.order_events,
        "payment": settings.payment,
        "shipping": settings.shipping,
        "notification": settings.notification,
    }
    for name, row in rows.items():
        if row.port:
            anyio.run(_free, f"{name}.port", row.bind, row.port)
    return ", ".join(f"{row.bind}:{row.port or 'any'}" for row in rows.values()) + " free"


async def _free(setting: str, bind: str, port: int) -> None:
    try:
        listener = await anyio.create_tcp_listener(local_host=bind, local_port=port)
    except OSError as error:
        raise Failed(
            f"{bind}:{port}: {error.strerror or error}",
            f"stop what listens there, or choose another {setting}",
        ) from error
    await listener.aclose()


def _clock(settings: Settings) -> str:
    now = production_host(Path(settings.data_dir)).clock.wall()
    if now < CLOCK_S_MIN:
        raise Failed("the system clock was never set", "set it (timedatectl set-ntp true)")
    return "plausible"
