"""``ordermill up``: the whole system in one process, until it is told to stop."""

from functools import partial

import anyio
import click

from actors.cli import Options
from actors.commands.browser import open_browser
from actors.commands.reloading import up_reloading
from actors.commands.saying import say
from actors.commands.serving import flags_of, serve_until_told, serving_options
from actors.commands.settings import load_settings
from actors.process import Running
from actors.services import SERVICES
from runtime.host import run_process


@click.command()
@click.option("--open", "opens", is_flag=True, help="Open the shop in a browser once it serves.")
@click.option("--reload", "reloads", is_flag=True, help="Start again when a source file changes.")
@click.option("--until-eof", is_flag=True, hidden=True, help="Stop when standard input ends, too.")
@serving_options
@click.pass_obj
def up(options: Options, /, opens: bool, reloads: bool, until_eof: bool, **given: object) -> int:
    """Run the whole system in one process."""
    flags = flags_of(given)
    loaded = load_settings(options, flags=flags)

    def ready(url: str) -> None:
        if opens:
            open_browser(f"{url}/", options.environment)

    if reloads:
        return anyio.run(up_reloading, loaded, options, flags, ready)

    def tell(running: Running, seconds: float) -> None:
        _tell(running, seconds)
        ready(running.url)

    run = partial(serve_until_told, until_eof=until_eof, waits_for_broker=False)
    return run_process(run, loaded, options, SERVICES, tell)


def _tell(running: Running, seconds: float) -> None:
    say(f"ready in {seconds:.2f}s  {running.url}")
    say(f"  shop      {running.url}/")
    say(f"  broker    {running.broker}")
    say(f"  data      {running.data_dir}")
    say(f"  mails     {running.mails}")
    say(f"  operator  {running.url}{running.login_path()}  (once, within 10 minutes)")
    say(f"            token in {running.data_dir / 'secrets' / 'operator-token'}")
    say("Ctrl-C stops; a second one stops at once")
