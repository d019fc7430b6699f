"""A running ``ordermill up`` whose services' addresses are known, and the operator's commands."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.ports import free_port
from tests.harness.command import Serving, run, serving

TABLES = ("http", "order_events", "payment", "shipping", "notification")
QUIET = """
[payment]
port = {payment}
hold_s = 0
sweep_s = 0.5
[shipping]
port = {shipping}
hold_s = 0
[http]
port = {http}
[order_events]
port = {order_events}
[notification]
port = {notification}
[retry]
tiers_s = [1]
"""


class Operator:
    """Runs commands in the folder of a system, which may be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = {table: free_port() for table in TABLES}
        self.url = f"http://127.0.0.1:{ports['http']}"
        (folder / "ordermill.toml").write_text(QUIET.format(**ports))

    @contextmanager
    def up(self, *settings: str) -> Iterator[Serving]:
        """Run the system until the block ends; its output is what it logs."""
        chosen = [part for setting in settings for part in ("--set", setting)]
        with serving(*chosen, "up", cwd=self.folder) as command:
            command.wait_for("ready in")
            yield command

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, whatever that is."""
        return run("--url", self.url, *arguments, cwd=self.folder)

    def ok(self, *arguments: str) -> str:
        """Run one command that must succeed; return what it has printed."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        """Run one command that prints a JSON document."""
        return json.loads(self.ok(*arguments, "--format", "json"))

    def place(self, *arguments: str) -> str:
        """Place an order; return its id."""
        return self.ok("order", "create", *arguments).split()[1]
