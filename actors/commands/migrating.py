"""``ordermill store migrate``: the databases of a data folder, brought to this program's schemas.

A start does that, too, without a word. This is for an upgrade that is looked at before: what would
be done is tried on copies, and what was stays beside what is.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from actors.messaging import BROKER_FILE
from actors.order_events.verify import Fault, open_read_only, verify
from actors.payment import sandbox
from actors.shipping import depot
from actors.system import FILES
from runtime.backup import back_up
from runtime.broker import journal
from runtime.errors import ConfigurationError, EnvironmentUnready, Rejection
from runtime.host import Host
from runtime.migration import Step, migrate, step

SCHEMAS: Mapping[str, Sequence[str]] = {
    **dict(FILES.values()),
    BROKER_FILE: journal.MIGRATIONS,
    sandbox.FILE: sandbox.MIGRATIONS,
    depot.FILE: depot.MIGRATIONS,
}
ORDERS, _ = FILES["order-events"]


def migrate_store(host: Host, files: Sequence[Path], *, dry_run: bool, folder: Path | None) -> str:
    """Bring ``files`` up to date, or try it on copies; return what was done, for the audit.

    Nothing has changed where this raises before it has said ``copied``. ``folder`` is where copies
    of all files go; by default one inside of the data folder, named after the time.
    """
    known = [path for path in files if path.name in SCHEMAS]
    for path in files:
        if path not in known:
            click.echo(f"left    {path.name}  is none of ours")
    with ExitStack() as stack:
        for path in known:
            stack.callback(host.disk.lock(path.name).release)
        steps = [step(path, SCHEMAS[path.name]) for path in known]
        for one in steps:
            now = f"schema {one.found}"
            click.echo(f"{'due' if one.due else 'ok':<7} {one.path.name:<22} {now}{_towards(one)}")
        due = [one for one in steps if one.due]
        if not due:
            return ""
        if dry_run:
            _try(due, host.disk.root)
            return ""
        at = datetime.fromtimestamp(host.clock.wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
        _copy(known, folder or host.disk.root / f"before-migration-{at}")
        _migrate(due)
    return ", ".join(f"{one.path.name} {one.found} to {one.wanted}" for one in due)


def _towards(one: Step) -> str:
    return f" of {one.wanted}" if one.due else ""


def _copy(files: Sequence[Path], folder: Path) -> None:
    """Copy all, also what does not change: to go back is to go back with all of them."""
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{folder} exists already", hint="name a folder that is not there yet with --backup"
        ) from error
    except OSError as error:
        raise EnvironmentUnready(f"{folder} cannot be made", hint="make room for it") from error
    for path in files:
        back_up(path, folder / path.name)
    click.echo(f"copied  {len(files)} files to {folder}")


def _try(due: Sequence[Step], data_dir: Path) -> None:
    with TemporaryDirectory(prefix="migration-", dir=data_dir) as temporary:
        copies = []
        for one in due:
            copy = Path(temporary) / one.path.name
            back_up(one.path, copy)
            copies.append(Step(copy, one.found, one.wanted))
        _migrate(copies)
    click.echo("nothing was changed: that was tried on copies")


def _migrate(due: Sequence[Step]) -> None:
    for one in due:
        migrate(one.path, SCHEMAS[one.path.name])
        click.echo(f"done    {one.path.name:<22} schema {one.found} -> {one.wanted}")
        if one.path.name == ORDERS:
            click.echo(f"ok      {_verified(one.path)} events verified")


def _verified(path: Path) -> int:
    with closing(open_read_only(path)) as connection:
        try:
            return verify(connection).events
        except Fault as fault:
            raise Rejection("faulty-log", f"{path}: {fault}") from fault
