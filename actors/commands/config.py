"""``ordermill config``: what is configured, where each value comes from, what a key accepts."""

from difflib import get_close_matches

import click
import msgspec

from actors.cli import Options
from actors.commands.operating import FORMAT, print_json
from actors.commands.settings import load_settings
from actors.settings import Settings
from runtime.config import Loaded, describe, json_schema
from runtime.errors import ConfigurationError
from runtime.setting import Setting, shown


@click.group()
def config() -> None:
    """Show, check and explain the configuration."""


@config.command()
@click.option("--sources", is_flag=True, help="Say where each value comes from.")
@FORMAT
@click.pass_obj
def show(options: Options, sources: bool, format_: str) -> None:
    """Print every setting; secrets as ***."""
    loaded = load_settings(options)
    rows = [(setting, _value(loaded, setting)) for setting in describe(Settings)]
    if format_ == "json":
        body = {
            setting.key: {"value": value, "source": loaded.sources[setting.key]}
            for setting, value in rows
        }
        print_json("config", settings=body)
        return
    width = max(len(setting.key) for setting, _ in rows)
    for setting, value in rows:
        source = f"   ({loaded.sources[setting.key]})" if sources else ""
        click.echo(f"{setting.key:<{width}} = {value}{source}")


def _value(loaded: Loaded[Settings], setting: Setting) -> str:
    value: object = loaded.settings
    for part in setting.key.split("."):
        value = getattr(value, part)
    return "" if value is None else shown(value)


@config.command()
@FORMAT
@click.pass_obj
def check(options: Options, format_: str) -> None:
    """Read the configuration and say whether it is right."""
    loaded = load_settings(options)
    given = sum(source != "default" for source in loaded.sources.values())
    if format_ == "json":
        print_json("config-check", ok=True, settings=len(loaded.sources), given=given)
        return
    click.echo(f"ok  {given} of {len(loaded.sources)} settings differ from the defaults")


@config.command()
@click.argument("key")
@FORMAT
def explain(key: str, format_: str) -> None:
    """Say what one key means, accepts, and defaults to."""
    setting = {setting.key: setting for setting in describe(Settings)}.get(key)
    if setting is None:
        near = get_close_matches(key, [setting.key for setting in describe(Settings)], n=1)
        raise ConfigurationError(
            f"there is no setting {key}",
            hint=f"did you mean {near[0]}?" if near else "see them all: ordermill config show",
        )
    if format_ == "json":
        print_json(
            "setting",
            key=setting.key,
            description=setting.description,
            accepts=setting.accepts,
            default=setting.default_text,
            variable=setting.variable,
        )
        return
    click.echo(f"{setting.key}: {setting.description}")
    click.echo(f"  accepts   {setting.accepts}")
    click.echo(f"  default   {setting.default_text or '(none)'}")
    click.echo(f"  variable  {setting.variable}")
    click.echo(f"  flag      --set {setting.key}=VALUE")


@config.command()
def schema() -> None:
    """Print the JSON Schema of ordermill.toml."""
    click.echo(msgspec.json.format(msgspec.json.encode(json_schema(Settings)), indent=2))
