"""``ordermill version``: what is installed, for a bug report."""

import json
import platform
import sqlite3
from importlib import metadata

import click

PACKAGES = ("aiormq", "aiosqlite", "anyio", "hypercorn", "msgspec", "pamqp", "quart")


@click.command()
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
def version(format_: str) -> None:
    """Show what is installed."""
    facts = {
        "ordermill": metadata.version("ordermill"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{package: metadata.version(package) for package in PACKAGES},
    }
    if format_ == "json":
        click.echo(json.dumps({"schema": "ordermill.version/v1", **facts}))
        return
    for name, number in facts.items():
        click.echo(f"{name:<10} {number}")
