"""``ordermill serve``: some of the services in this process, the rest wherever they are."""

from collections.abc import Sequence
from functools import partial

import anyio
import click

from actors.cli import Options
from actors.commands.saying import say
from actors.commands.serving import flags_of, serve_until_told, serving_options
from actors.commands.settings import load_settings
from actors.commands.split import serve_split
from actors.process import Running
from actors.services import SERVICES, ServiceName
from runtime.host import run_process

ALL = "all"


@click.command()
@click.argument(
    "names", nargs=-1, required=True, type=click.Choice([*SERVICES, ALL]), metavar="SERVICE..."
)
@click.option("--split", is_flag=True, help="With all: each as a process of its own, as a child.")
@click.option("--until-eof", is_flag=True, help="Stop when standard input ends, too.")
@serving_options
@click.pass_obj
def serve(
    options: Options, /, names: Sequence[str], split: bool, until_eof: bool, **given: object
) -> int:
    """Run services: gateway, order-events, payment, shipping, notification, or all.

    Processes that share the work need the same data folder (or the same secrets), and a broker that
    all of them reach: RabbitMQ, or ordermill broker. They wait for it, and for one another.
    """
    services: list[ServiceName] = [name for name in SERVICES if name in names or ALL in names]
    if split and ALL not in names:
        raise click.UsageError("--split is for all services: ordermill serve all --split")
    flags = flags_of(given)
    loaded = load_settings(options, flags=flags)
    if split:
        return anyio.run(serve_split, loaded.settings, options, flags)
    run = partial(serve_until_told, until_eof=until_eof)
    return run_process(run, loaded, options, services, _tell)


def _tell(running: Running, seconds: float) -> None:
    places = "  ".join(f"{name} {url}" for name, url in running.urls.items())
    say(f"ready in {seconds:.2f}s  {places}")
