"""What the operator's commands share: the way to each service, and asking before anything changes.

The services' own HTTP sides are not public; a command reaches them from their machine, at the
address that the settings give, with the operator's token.
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click
import msgspec

from actors.cli import Options
from actors.commands.client import Api, Json, explain
from actors.commands.settings import load_settings
from actors.services import CONSUMERS, OPERATOR_PREFIX, ServiceName
from actors.settings import Settings, url_at
from runtime.errors import ConfigurationError, Rejection

P = ParamSpec("P")
QUEUES = click.option("--queue", type=click.Choice(list(CONSUMERS)), help="Of one service only.")
FORMAT = click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")


class Services:
    """The services of a running system, as an operator reaches them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.settings: Settings = load_settings(options).settings
        self.data_dir = Path(self.settings.data_dir)

    def call(self, service: ServiceName, method: str, path: str, body: object = None) -> Json:
        """Ask one service; see `Api.call`."""
        return self._api(service).call(method, OPERATOR_PREFIX + path, body)

    def _api(self, service: ServiceName) -> Api:
        key = service.replace("-", "_")
        row = getattr(self.settings, key)
        url = getattr(row, "url", "")
        if not url and row.port == 0:
            raise ConfigurationError(
                f"{key}.port is 0, so nobody knows where the {service} service listens",
                hint=f"--set {key}.port=PORT, as ordermill up has printed it, or set it for both",
            )
        at = url or url_at(row.bind, row.port)
        return Api(replace(self._options, url=at), self.settings)


def operator_command(
    run: Callable[Concatenate[Services, P], int | None],
) -> Callable[P, None]:
    """Give the command the `Services`; a refusal is explained and exits with 1."""

    @wraps(run)
    def with_services(*args: P.args, **kwargs: P.kwargs) -> None:
        options = click.get_current_context().find_object(Options)
        assert options is not None, "global options are missing"
        try:
            code = run(Services(options), *args, **kwargs)
        except Rejection as rejection:
            explain(rejection)
            code = 1
        sys.exit(code or 0)

    return with_services


def confirm(question: str, yes: bool) -> None:
    """Ask, unless ``--yes`` has answered; without a terminal there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"{question} Nobody is there to answer", hint="add --yes, or look first with --dry-run"
        )
    click.confirm(question, abort=True, err=True)


def print_json(schema: str, **fields: object) -> None:
    """Print one JSON document."""
    document = {"schema": f"ordermill.{schema}/v1", **fields}
    click.echo(json.dumps(document, indent=2))


def print_lines(rows: Iterable[object]) -> None:
    """Print one JSON document a line."""
    for row in rows:
        click.echo(msgspec.json.encode(row).decode())
