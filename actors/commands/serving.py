"""What the commands that serve have in common: their options, and one run from start to stop."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import click

from actors.cli import Options
from actors.commands.stopping import Stop
from actors.commands.telemetry import telemetry_for
from actors.process import Running, preflight, run_system
from actors.services import ServiceName
from actors.settings import Settings
from runtime.config import Loaded
from runtime.host import allow_open_files, forbid_core_dumps, production_host

F = TypeVar("F", bound=Callable[..., object])
Flags = Mapping[str, object]

_KEYS = {
    "broker_url": "broker.url",
    "data_dir": "data_dir",
    "bind": "http.bind",
    "port": "http.port",
    "auto_ship_s": "shipping.auto_ship_s",
}
_OPTIONS = (
    click.option("--broker", "broker_url", metavar="URL", help="amqp://... or embedded."),
    click.option("--data-dir", type=click.Path(file_okay=False), help="Databases, mails, secrets."),
    click.option("--bind", help="Address of the public API."),
    click.option("--port", type=click.IntRange(0, 65535), help="Port of the public API."),
    click.option("--auto-ship", "auto_ship_s", type=float, metavar="SECONDS"),
)


def serving_options(command: F) -> F:
    """Add the options of a command that serves; `flags_of` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def flags_of(given: Mapping[str, object]) -> Flags:
    """Return what was given with `serving_options`, by the settings' keys."""
    return {key: given[name] for name, key in _KEYS.items() if given[name] is not None}


async def serve_until_told(
    loaded: Loaded[Settings],
    options: Options,
    services: Sequence[ServiceName],
    tell: Callable[[Running, float], None],
    *,
    until_eof: bool = False,
    waits_for_broker: bool = True,
) -> int:
    """Run the services until a signal; return the exit code.

    ``tell`` is called once they serve, with the seconds that took.
    """
    settings = loaded.settings
    allow_open_files()
    forbid_core_dumps()
    host = production_host(Path(settings.data_dir))
    began = host.clock.monotonic()
    if not waits_for_broker:
        await preflight(settings)
    with closing(telemetry_for(settings, options, host.clock.wall, services)) as telemetry:
        async with Stop(
            until_eof=until_eof, requests_s=settings.runtime.shutdown_timeout_s
        ) as stop:
            await run_system(
                settings,
                host,
                telemetry,
                stopping=stop.stopping,
                ready=lambda running: tell(running, host.clock.monotonic() - began),
                services=services,
                sources=loaded.sources,
            )
    return stop.exit_code
