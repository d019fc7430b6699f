"""``ordermill up``: the whole system in one process, until it is told to stop."""

from pathlib import Path

import anyio
import click

from actors.cli import Options
from actors.commands.settings import load_settings, telemetry_for
from actors.commands.stopping import Stop
from actors.process import Running, preflight, run_system
from actors.settings import Settings
from runtime.host import production_host


@click.command()
@click.option("--broker", "broker_url", metavar="URL", help="amqp://... or embedded.")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Databases, mails, secrets.")
@click.option("--bind", help="Address of the public API.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the public API.")
@click.option("--auto-ship", "auto_ship_s", type=float, metavar="SECONDS")
@click.pass_obj
def up(
    options: Options,
    broker_url: str | None,
    data_dir: str | None,
    bind: str | None,
    port: int | None,
    auto_ship_s: float | None,
) -> int:
    """Run the whole system in one process."""
    flags = {
        "broker.url": broker_url,
        "data_dir": data_dir,
        "http.bind": bind,
        "http.port": port,
        "shipping.auto_ship_s": auto_ship_s,
    }
    settings = load_settings(options, flags=flags).settings
    return anyio.run(_serve, settings, options)


async def _serve(settings: Settings, options: Options) -> int:
    host = production_host(Path(settings.data_dir))
    telemetry = telemetry_for(settings, options, host.clock.wall)
    began = host.clock.monotonic()
    await preflight(settings)

    def ready(running: Running) -> None:
        click.echo(f"ready in {host.clock.monotonic() - began:.2f}s  {running.url}")
        click.echo(f"  broker    {running.broker}")
        click.echo(f"  data      {running.data_dir}   (mails: {running.mail_dir})")
        click.echo(f"  operator  token in {running.data_dir / 'secrets' / 'operator-token'}")
        click.echo("Ctrl-C stops; a second one stops at once")

    async with Stop() as stop:
        await run_system(settings, host, telemetry, stopping=stop.stopping, ready=ready)
    return stop.exit_code
