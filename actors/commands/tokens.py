"""``ordermill tokens``: the secrets of one service, for a process that is to have no others."""

from pathlib import Path
from typing import cast, get_args

import anyio
import click

from actors.cli import Options
from actors.commands.operating import FORMAT, print_json
from actors.commands.settings import load_settings
from actors.credentials import Credentials, load_credentials
from actors.domain.order_events import Service
from actors.settings import Settings
from runtime.host import production_host


@click.command()
@click.argument("service", type=click.Choice(get_args(Service)))
@FORMAT
@click.pass_obj
def tokens(options: Options, service: str, format_: str) -> None:
    """Print the variables by which one service is known to the others, and can be no other.

    They are derived from security.service_secret, which then only order-events needs.
    """
    settings = load_settings(options).settings
    credentials = anyio.run(_load, settings)
    found = {"SERVICE": credentials.of_service(cast("Service", service))}
    if service in ("gateway", "shipping"):
        found["SHIPPING"] = credentials.at_shipping()
    if service in ("gateway", "notification"):
        found["NOTIFICATION"] = credentials.at_notification()
    variables = {f"ORDERMILL_SECURITY_{name}_TOKEN": token for name, token in found.items()}
    if format_ == "json":
        print_json("tokens", service=service, variables=variables)
        return
    for name, token in variables.items():
        click.echo(f"{name}={token}")


async def _load(settings: Settings) -> Credentials:
    host = production_host(Path(settings.data_dir))
    return await load_credentials(settings, host, ("order-events",))
