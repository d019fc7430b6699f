"""A folder of reports over HTTP on this machine: for browsers that show no local files."""

from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import click

from sim import guard


def serve_folder(folder: Path, page: str) -> None:
    """Serve ``folder`` on a free port of 127.0.0.1 until Ctrl-C."""
    assert guard.virtual() is None, "no run is under way"
    handler = partial(_Quiet, directory=str(folder))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        click.echo(f"http://127.0.0.1:{server.server_address[1]}/{page}   (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("", err=True)


class _Quiet(SimpleHTTPRequestHandler):
    """Says nothing about requests."""

    def log_message(self, *_: object) -> None:
        """Keep it to ourselves."""
