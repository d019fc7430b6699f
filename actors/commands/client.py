"""The command line's HTTP client: every failure is an error that says what to do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import httpx

from actors.cli import Options
from actors.settings import Settings, url_at
from runtime.errors import ConfigurationError, EnvironmentUnready, Rejection, Unavailable

Json = dict[str, object]


class Api:
    """A running system, reached over its public API.

    Without ``--url`` it is the one that these settings would start on this machine. Without
    ``--token`` the operator token in its data folder is used, where this user may read it.
    """

    def __init__(self, options: Options, settings: Settings) -> None:
        self.url = (options.url or _local_url(settings)).rstrip("/")
        self.token = options.token or self._local_token(Path(settings.data_dir))
        # To read whom TLS may trust takes as long as most answers: only where there is TLS.
        tls = self.url.startswith("https:")
        self._client = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False, verify=tls)

    def _local_token(self, data_dir: Path) -> str | None:
        host = httpx.URL(self.url).host
        path = data_dir / "secrets" / "operator-token"
        try:
            return path.read_text().strip() if host in ("127.0.0.1", "localhost", "::1") else None
        except OSError:
            return None

    def call(self, method: str, path: str, body: object = None, **headers: str | None) -> Json:
        """Return the decoded answer; `Rejection` for a problem below 500, `Unavailable` above."""
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value}
        if self.token:
            sent["authorization"] = f"Bearer {self.token}"
        content = None
        if body is not None:
            content, sent["content-type"] = json.dumps(body).encode(), "application/json"
        try:
            response = self._client.request(method, path, content=content, headers=sent)
        except httpx.TransportError as error:
            raise self._unreachable() from error
        return self._answer(response)

    def stream(self, path: str, *, timeout_s: float) -> Iterator[tuple[str, Json]]:
        """Yield (event name, data) of a stream of server-sent events until it closes."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            with self._client.stream("GET", path, headers=headers, timeout=timeout_s) as response:
                if response.status_code >= 400:
                    response.read()
                    self._answer(response)
                yield from _server_sent(response.iter_lines())
        except httpx.ReadTimeout as error:
            raise Unavailable(f"no event within {timeout_s:g} s") from error
        except httpx.TransportError as error:
            raise self._unreachable() from error

    def _unreachable(self) -> EnvironmentUnready:
        return EnvironmentUnready(
            f"cannot reach a running system at {self.url}",
            hint="start one: ordermill up   (another address: --url or ORDERMILL_URL)",
        )

    @staticmethod
    def _answer(response: httpx.Response) -> Json:
        answer: object = response.json() if response.content else {}
        if not isinstance(answer, dict):
            raise Unavailable(f"unexpected answer ({response.status_code}) from {response.url}")
        if response.status_code < 400:
            return answer
        slug = str(answer.get("type", "")).rpartition("/")[2]
        title = f"{answer.get('title', 'refused')} ({response.status_code} {slug})"
        if response.status_code >= 500:
            raise Unavailable(f"{title}: {answer.get('detail', '')}")
        raise Rejection(slug, title, status_hint=response.status_code, details=answer)


def _local_url(settings: Settings) -> str:
    if settings.http.port == 0:
        raise ConfigurationError(
            "http.port is 0, so nobody knows where the system listens",
            hint="give --url, as ordermill up has printed it",
        )
    return url_at(settings.http.bind, settings.http.port)


def _server_sent(lines: Iterator[str]) -> Iterator[tuple[str, Json]]:
    """Parse a text/event-stream (WHATWG HTML, 9.2.6); comments and ids are passed over."""
    name, data = "message", ""
    for line in lines:
        if not line:
            if data:
                yield name, cast("Json", json.loads(data))
            name, data = "message", ""
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()


def explain(rejection: Rejection) -> None:
    """Print why a rule said no: cause, invalid fields, what is allowed now."""
    details = rejection.details
    click.echo(f"error: {rejection.message}", err=True)
    blocking = details.get("blocking_event")
    if isinstance(blocking, dict):
        click.echo(f"  cause: {blocking['type']} at version {blocking['version']}", err=True)
    elif details.get("detail"):
        click.echo(f"  cause: {details['detail']}", err=True)
    errors = details.get("errors")
    for row in errors if isinstance(errors, list) else []:
        click.echo(f"  {row.get('pointer')}: {row.get('detail')}", err=True)
    actions = details.get("allowed_actions")
    if isinstance(actions, dict):
        allowed = [name for name, state in actions.items() if state.get("allowed")]
        click.echo(f"  hint: allowed now: {', '.join(allowed) or 'nothing'}", err=True)
    elif rejection.status_hint == 401:
        click.echo("  hint: pass --token, or set ORDERMILL_TOKEN", err=True)
