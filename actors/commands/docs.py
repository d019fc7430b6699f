"""``ordermill docs``: reference documents, made from the code, and whether files still say so."""

from collections.abc import Callable, Mapping
from difflib import unified_diff
from pathlib import Path

import click

from actors.commands import documents
from runtime.errors import ConfigurationError, EnvironmentUnready

FOLDER = Path("docs")
ALL = "all"
# name -> (file, what makes it)
DOCUMENTS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "openapi": ("openapi.json", documents.openapi),
    "asyncapi": ("asyncapi.json", documents.asyncapi),
    "orders": ("orders.md", documents.orders),
    "config": ("config.md", documents.config),
    "cli": ("cli.md", documents.cli),
    "metrics": ("metrics.md", documents.metrics),
    "problems": ("problems.md", documents.problems),
}
_DIFF_LINES_MAX = 40


@click.command()
@click.argument("name", type=click.Choice([*DOCUMENTS, ALL]))
@click.option("--out", type=click.Path(path_type=Path), help="A file to write; a folder, with all.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file differs.")
def docs(name: str, out: Path | None, check: bool) -> int:
    """Print a reference document that is made from the code, or write it to a file.

    openapi: the HTTP API (OpenAPI 3.1). asyncapi: exchanges, queues and messages (AsyncAPI 3.0).
    orders, config, cli, metrics, problems: tables in Markdown. --check compares with the files in
    docs/, or with what --out names.
    """
    names = list(DOCUMENTS) if name == ALL else [name]
    if check:
        stale = [one for one in names if not _is_current(one, _path(one, name, out))]
        return 1 if stale else 0
    if out is None and name != ALL:
        click.echo(DOCUMENTS[name][1](), nl=False)
        return 0
    if out is None:
        raise ConfigurationError("docs all: where to?", hint="--out FOLDER, such as --out docs")
    for one in names:
        path = _path(one, name, out)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(DOCUMENTS[one][1](), "utf-8")
        except OSError as error:
            raise EnvironmentUnready(f"{path} cannot be written") from error
        click.echo(f"wrote {path}", err=True)
    return 0


def _path(one: str, name: str, out: Path | None) -> Path:
    file = DOCUMENTS[one][0]
    if out is None:
        return FOLDER / file
    return out / file if name == ALL else out


def _is_current(name: str, path: Path) -> bool:
    """Whether the file is what the code says; if not, what differs is printed."""
    expected = DOCUMENTS[name][1]()
    try:
        found = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        click.echo(f"FAIL  {path}: {reason}")
        click.echo(f"  hint: write it: ordermill docs {name} --out {path}", err=True)
        return False
    if found == expected:
        click.echo(f"ok    {path}")
        return True
    click.echo(f"FAIL  {path} is not what the code says")
    lines = list(
        unified_diff(
            found.splitlines(), expected.splitlines(), str(path), "the code", lineterm="", n=1
        )
    )
    for line in lines[:_DIFF_LINES_MAX]:
        click.echo(line)
    if len(lines) > _DIFF_LINES_MAX:
        click.echo(f"... and {len(lines) - _DIFF_LINES_MAX} lines more")
    click.echo(f"  hint: write it: ordermill docs {name} --out {path}", err=True)
    return False
