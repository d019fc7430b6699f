"""``ordermill broker``: the embedded AMQP 0-9-1 broker as a server of its own."""

from pathlib import Path

import click

from actors.cli import Options
from actors.commands.saying import say
from actors.commands.settings import load_settings
from actors.commands.stopping import Stop
from actors.commands.telemetry import telemetry_for
from actors.settings import Settings
from runtime.broker import journal
from runtime.broker.server import BrokerServer
from runtime.child import ChildSpec, SupervisorSpec
from runtime.database import open_database
from runtime.errors import ConfigurationError
from runtime.host import forbid_core_dumps, production_host, run_process
from runtime.supervisor import Supervisor

FILE = "broker.db"


@click.command()
@click.option("--bind", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=5672, show_default=True)
@click.option("--user", default="guest", show_default=True)
@click.option("--password-file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--data-dir", type=click.Path(file_okay=False), help="Keeps the journal.")
@click.option("--until-eof", is_flag=True, help="Stop when standard input ends, too.")
@click.pass_obj
def broker(
    options: Options,
    bind: str,
    port: int,
    user: str,
    password_file: Path | None,
    data_dir: str | None,
    until_eof: bool,
) -> int:
    """Run the embedded AMQP 0-9-1 broker on its own.

    Without --password-file the password is guest, which is allowed on a loopback address only.
    """
    loaded = load_settings(options, flags={"data_dir": data_dir})
    password = password_file.read_text().strip() if password_file else "guest"
    if password_file is None and bind not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            f"--bind {bind}: the well-known password guest is for loopback addresses only",
            hint="give --password-file FILE",
        )
    account = {user: password}
    return run_process(_serve, loaded.settings, options, bind, port, account, until_eof)


async def _serve(
    settings: Settings,
    options: Options,
    bind: str,
    port: int,
    account: dict[str, str],
    until_eof: bool,
) -> int:
    forbid_core_dumps()
    host = production_host(Path(settings.data_dir))
    telemetry = telemetry_for(settings, options, host.clock.wall)
    async with (
        Stop(until_eof=until_eof) as stop,
        open_database(host.disk, FILE, journal.MIGRATIONS) as database,
    ):
        server = BrokerServer(
            host, database, bind=bind, port=port, users=account, telemetry=telemetry
        )
        tree = SupervisorSpec("ordermill-broker", (ChildSpec("broker", server.run),))
        (user,) = account
        await Supervisor(tree, host, telemetry).run(
            stop.stopping,
            started=lambda: say(f"ready  amqp://{user}:***@{bind}:{server.port}/"),
        )
    return stop.exit_code
