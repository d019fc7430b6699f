"""``ordermill sim view``: an index of the reports, scenarios by seeds."""

from pathlib import Path

import click

from sim.commands.options import OK
from sim.commands.serving import serve_folder
from sim.report.files import REPORTS
from sim.report.index import write_index


@click.command()
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=REPORTS, metavar="[DIR]"
)
@click.option("--serve", is_flag=True, help="Then serve it on 127.0.0.1.")
def view(folder: Path, serve: bool) -> int:
    """Make DIR/index.html: every run of the last sweep and every report, green, red or yellow."""
    path = write_index(folder)
    click.echo(str(path))
    if serve:
        serve_folder(folder, path.name)
    return OK
