"""``ordermill bench report``: the table, the figures, and one page of HTML."""

from pathlib import Path

import click

from bench.page import page
from bench.report import markdown, with_table
from bench.results import load_results
from bench.rivals.missing import explained
from bench.targets import judge
from runtime.errors import ConfigurationError

RESULTS = Path("bench/results/bench.json")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=RESULTS)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="For SVG and HTML.")
@click.option("--readme", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
def report(file: Path, out: Path | None, readme: Path | None) -> None:
    """Print the table of FILE (bench/results/bench.json), as Markdown.

    With --out the figures (SVG) and report.html are written into that folder; with --readme the
    table is put between the marks of that file.
    """
    results = load_results(file)
    judged = judge(results, list(results.cases))
    table = markdown(results, judged)
    click.echo(table)
    if readme is not None:
        try:
            readme.write_text(with_table(readme.read_text(), table))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{readme}: {error}") from error
    if out is not None:
        with explained():
            from bench.plots import draw
        figures = draw(results, out)
        (out / "report.html").write_text(page(results, judged, figures))
        click.echo(f"{len(figures)} figures and report.html in {out}", err=True)
