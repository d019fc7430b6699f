"""``ordermill demo``: one order through a throw-away system, and what happened, line by line."""

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import click
from anyio.abc import Process, TaskStatus
from anyio.streams.text import TextReceiveStream

from actors.cli import Options
from actors.commands.settings import load_settings
from actors.commands.story import SCENARIOS, Scenario, Story
from actors.commands.telemetry import telemetry_for
from actors.process import Running, run_system
from actors.settings import Settings
from runtime.errors import Unavailable
from runtime.host import Host, production_host
from runtime.telemetry import Telemetry

Flags = Mapping[str, object]


@click.command()
@click.option("--scenario", type=click.Choice([*SCENARIOS, "all"]), default="happy")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep the data here.")
@click.pass_obj
def demo(options: Options, scenario: str, port: int, data_dir: Path | None) -> None:
    """Run one order through a throw-away system and watch it."""
    for name in list(SCENARIOS) if scenario == "all" else [scenario]:
        told = SCENARIOS[name]
        with ExitStack() as stack:
            folder = data_dir or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="ordermill-demo-"))
            )
            flags = _flags(told, port, folder / name)
            settings = load_settings(options, flags=flags, defaults={"log.level": "warning"})
            click.echo(
                f"ordermill demo  scenario={name}  ({told.about})\n"
                f"broker={settings.settings.broker.url}  data={folder / name}"
            )
            if told.crashes:
                anyio.run(_play_and_crash, told, flags, folder / name)
            else:
                anyio.run(_play, told, settings.settings, options)


def _flags(scenario: Scenario, port: int, folder: Path) -> Flags:
    return {
        "data_dir": str(folder),
        "http.port": port,
        **{f"{service}.port": 0 for service in ("order_events", "payment", "shipping")},
        "notification.port": 0,
        "payment.hold_s": scenario.payment_hold_s,
        "shipping.hold_s": scenario.shipping_hold_s,
        "shipping.auto_ship_s": 0.3,
        "retry.tiers_s": "[1]",
    }


async def _play(scenario: Scenario, settings: Settings, options: Options) -> None:
    host = production_host(Path(settings.data_dir))
    telemetry = telemetry_for(settings, options, host.clock.wall)
    stopping = anyio.Event()
    async with anyio.create_task_group() as tasks:
        began = host.clock.monotonic()
        running: Running = await tasks.start(_start, settings, host, telemetry, stopping)
        click.echo(f"ready in {host.clock.monotonic() - began:.1f}s  {running.url}\n")
        try:
            story = await Story.begin(scenario, running.url, host.clock.wall)
            await story.follow(running.url, running.mail_dir)
        finally:
            stopping.set()


async def _start(
    settings: Settings,
    host: Host,
    telemetry: Telemetry,
    stopping: anyio.Event,
    *,
    task_status: TaskStatus[Running],
) -> None:
    await run_system(settings, host, telemetry, stopping=stopping, ready=task_status.started)


async def _play_and_crash(scenario: Scenario, flags: Flags, folder: Path) -> None:
    wall = production_host(folder).clock.wall
    async with _child(flags) as (process, url):
        story = await Story.begin(scenario, url, wall)
        process.kill()
        await process.wait()
        click.echo("             kill -9, and a new process on the same data")
    async with _child(flags) as (process, url):
        await story.follow(url, folder / "mail" / "new")
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _child(flags: Flags) -> AsyncIterator[tuple[Process, str]]:
    """Run ``ordermill up`` as a process of its own; yield it and its URL once it serves."""
    given = [part for key, value in flags.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-c", "from actors.cli import main; main()", "-q", *given, "up"]
    async with await anyio.open_process(command, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None, "its output is piped"
            async for text in TextReceiveStream(process.stdout):
                if "ready in" in text:
                    yield process, text.split("ready in", 1)[1].split()[1]
                    break
            else:
                raise Unavailable("the system did not start: run ordermill check")
        finally:
            if process.returncode is None:
                process.kill()
