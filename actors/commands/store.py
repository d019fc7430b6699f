"""``ordermill store``: what the databases of a data folder hold, copies of them, their upgrade."""

from pathlib import Path

import anyio
import click
import msgspec

from actors.commands.operating import FORMAT, Services, operator_command, print_json
from actors.deeds import deed
from actors.order_events.schema import MIGRATIONS
from actors.order_events.verify import Fault, open_read_only, verify
from runtime.audit import Deed, note
from runtime.backup import back_up, look_at
from runtime.database import open_database
from runtime.errors import ConfigurationError, EnvironmentUnready, Rejection
from runtime.host import production_host
from runtime.wal import damage_at_rest

ORDERS = "orders.db"
# Whatever a later copy knows, an earlier one may lack, and is offered again: see `outbox reoffer`.
FIRST = "broker.db"


@click.group()
def store() -> None:
    """Look at the databases of a data folder, copy them, bring them up to date."""


@store.command()
@FORMAT
@operator_command
def info(services: Services, format_: str) -> None:
    """Show the databases: sizes, schema versions, rows."""
    facts = [look_at(path) for path in _files(services.data_dir)]
    if format_ == "json":
        print_json("store", data=msgspec.to_builtins(facts))
        return
    for one in facts:
        click.echo(f"{one.file:<22} schema {one.schema_version}  {one.size + one.log_size} bytes")
        for table, rows in one.rows.items():
            click.echo(f"  {table:<20} {rows}")


@store.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--reason", default="", help="For the audit.")
@operator_command
def backup(services: Services, folder: Path, reason: str) -> None:
    """Copy every database into a new folder and check the copies, the event log event by event.

    Secrets and mails are not copied. After a restore, `outbox reoffer` offers what is missing.
    """
    files = _files(services.data_dir)
    what = deed("store-backup", str(folder), reason)
    audited = _note(services, what, "started")
    try:
        events = _copied(files, folder)
    except Exception as error:
        if audited:
            _note(services, what, f"failed: {type(error).__name__}")
        raise
    if audited:
        _note(services, what, f"copied {len(files)} files, {events} events")
    click.echo(f"ok      {events} events verified")


@store.command()
@click.option("--dry-run", is_flag=True, help="Try it on copies, and change nothing.")
@click.option(
    "--backup",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where copies of what was go; default: a new folder inside of the data folder.",
)
@click.option("--reason", default="", help="For the audit.")
@operator_command
def migrate(services: Services, dry_run: bool, folder: Path | None, reason: str) -> None:
    """Bring databases of an older version up to date; the system must be stopped.

    Copies are made and checked first. Files of a newer version are refused before anything is done.
    """
    # What every file holds is known by the services, which the other commands can do without.
    from actors.commands.migrating import migrate_store

    what = deed("store-migrate", str(services.data_dir), reason)
    files = _files(services.data_dir)
    host = production_host(services.data_dir)
    done = migrate_store(host, files, dry_run=dry_run, folder=folder)
    if done and (services.data_dir / ORDERS).exists():
        _note_at_rest(services.data_dir, what, done)


def _copied(files: list[Path], folder: Path) -> int:
    """Copy and check; return the number of events in the copy of the log."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in files:
        if damage := damage_at_rest(path):
            click.echo(f"warning: {damage}: the copy is without them", err=True)
        back_up(path, folder / path.name)
        click.echo(f"copied  {path.name}")
    return _verified(folder / ORDERS)


def _files(data_dir: Path) -> list[Path]:
    files = sorted(data_dir.glob("*.db"), key=lambda path: (path.name != FIRST, path.name))
    if not files:
        raise EnvironmentUnready(
            f"there is no database in {data_dir}", hint="name the folder with --set data_dir=DIR"
        )
    # The log last: whatever a service says that it has done is in it.
    return [path for path in files if path.name != ORDERS] + [
        path for path in files if path.name == ORDERS
    ]


def _verified(path: Path) -> int:
    if not path.exists():
        return 0
    connection = open_read_only(path)
    try:
        return verify(connection).events
    except Fault as fault:
        raise Rejection("faulty-log", f"{path}: {fault}") from fault
    finally:
        connection.close()


def _note(services: Services, what: Deed, outcome: str) -> bool:
    """Write into the audit: through order-events, or into its file while nobody owns it.

    Return whether it could be written. A damaged or full store is copied all the same.
    """
    try:
        services.call(
            "order-events",
            "POST",
            "/audit",
            {
                "action": what.action,
                "target": what.target,
                "reason": what.reason,
                "outcome": outcome,
            },
        )
    except (EnvironmentUnready, ConfigurationError):
        if (services.data_dir / ORDERS).exists():
            return _note_at_rest(services.data_dir, what, outcome)
    return True


def _note_at_rest(data_dir: Path, what: Deed, outcome: str) -> bool:
    try:
        anyio.run(_note_here, data_dir, what, outcome)
    except ConfigurationError as error:
        click.echo(f"warning: the audit does not know of this copy: {error}", err=True)
        return False
    return True


async def _note_here(data_dir: Path, what: Deed, outcome: str) -> None:
    host = production_host(data_dir)
    at_ms = int(host.clock.wall() * 1000)
    async with open_database(host.disk, ORDERS, MIGRATIONS) as database:
        await database.write(lambda tx: note(tx, what, outcome, at_ms))
