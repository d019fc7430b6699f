"""``ordermill up``: the whole system in one process, until it is told to stop."""

from functools import partial

import anyio
import click

from actors.cli import Options
from actors.commands.saying import say
from actors.commands.serving import flags_of, serve_until_told, serving_options
from actors.commands.settings import load_settings
from actors.process import Running
from actors.services import SERVICES


@click.command()
@serving_options
@click.pass_obj
def up(options: Options, /, **given: object) -> int:
    """Run the whole system in one process."""
    settings = load_settings(options, flags=flags_of(given)).settings
    run = partial(serve_until_told, waits_for_broker=False)
    return anyio.run(run, settings, options, SERVICES, _tell)


def _tell(running: Running, seconds: float) -> None:
    say(f"ready in {seconds:.2f}s  {running.url}")
    say(f"  shop      {running.url}/")
    say(f"  broker    {running.broker}")
    say(f"  data      {running.data_dir}")
    say(f"  mails     {running.mails}")
    say(f"  operator  {running.url}{running.login_path()}  (once, within 10 minutes)")
    say(f"            token in {running.data_dir / 'secrets' / 'operator-token'}")
    say("Ctrl-C stops; a second one stops at once")
