"""``ordermill topology``: what is on the broker, as the code declares it and as it is there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import anyio
import click
import msgspec

from actors.commands.client import Json
from actors.commands.operating import Services, operator_command, print_json
from actors.domain.events import EVENT_TYPES
from actors.durations import duration
from actors.services import CONSUMERS
from actors.settings import Settings
from actors.topology import SUBSCRIPTIONS, topology
from runtime.amqp.address import Address
from runtime.amqp.figures import alarms_together
from runtime.amqp.session import connect
from runtime.amqp.topology import Queue, Topology, dead_queue, differences, retry_tier_s
from runtime.errors import ConfigurationError, EnvironmentUnready, Unavailable

EMBEDDED = "embedded"
AGE = "oldest_age_s"
MORE = {
    "unacked": "unacked",
    "in_per_s": "in/s",
    "out_per_s": "out/s",
    "acked_per_s": "acked/s",
}
Depths = Mapping[str, Json]
"""Queue name to what its service says of it: see `runtime.amqp.depths.QueueDepth`."""


class Live(msgspec.Struct, frozen=True):
    """What a running system tells: its queues, its broker's alarms, and why figures are missing.

    ``alarms`` is None where the broker does not tell.
    """

    depths: Depths
    alarms: list[str] | None
    missing: list[str]

    @property
    def told(self) -> Json:
        """What concerns no single queue."""
        return {"alarms": self.alarms, "missing": self.missing}


@click.command("topology")
@click.option("--live", is_flag=True, help="With messages and consumers, from a running system.")
@click.option("--watch", type=click.FloatRange(0.1), metavar="SECONDS", help="Again and again.")
@click.option("--check", is_flag=True, help="Compare with the broker; exit 1 where it differs.")
@click.option("--format", "format_", type=click.Choice(["text", "json", "mermaid"]), default="text")
@operator_command
def command(services: Services, live: bool, watch: float | None, check: bool, format_: str) -> int:
    """Show exchanges, queues, bindings and consumers as they are declared.

    --live and --watch ask the services of a running system. --check looks at the broker that
    broker.url names, and makes nothing there; AMQP cannot tell which bindings there are.
    """
    declared = topology(services.settings.retry.tiers_s, services.settings.broker.queue_type)
    if check:
        return _compare(services.settings, declared)
    if watch is None:
        _print(declared, _look(services) if live else None, format_)
        return 0
    anyio.run(_watch, services, declared, format_, watch)
    return 0


async def _watch(services: Services, declared: Topology, format_: str, every_s: float) -> None:
    """Show it, then what has changed, until Ctrl-C; in one event loop, which knows how to end."""
    before: Live | None = None
    while True:
        live = _look(services)
        if before is None:
            _print(declared, live, format_)
        else:
            _print_changes(before, live, format_)
        before = live
        await anyio.sleep(every_s)


def _look(services: Services) -> Live:
    answers = [services.call(name, "GET", "/queues") for name in CONSUMERS]
    rows = [row for answer in answers for row in cast("list[Json]", answer["data"])]
    return Live(
        {str(row["name"]): row for row in rows},
        alarms_together(cast("list[str] | None", answer["alarms"]) for answer in answers),
        [*dict.fromkeys(str(answer["missing"]) for answer in answers if answer["missing"])],
    )


def _compare(settings: Settings, declared: Topology) -> int:
    """Say what the broker has otherwise; return the exit code."""
    url = settings.broker.url.reveal()
    if url == EMBEDDED:
        raise ConfigurationError(
            "--check looks at the broker that broker.url names, and it is embedded",
            hint="look at a running one with --live, or set broker.url to amqp://...",
        )
    found = anyio.run(_differences, Address.parse(url), settings.broker.heartbeat_s, declared)
    for text in found:
        click.echo(f"FAIL  {text}")
    if not found:
        exchanges, queues = len(declared.exchanges), len(declared.queues)
        click.echo(f"ok    {exchanges} exchanges and {queues} queues are as declared")
    return 1 if found else 0


async def _differences(address: Address, heartbeat_s: int, declared: Topology) -> list[str]:
    try:
        session = await connect(address, heartbeat_s, "ordermill topology", 0)
        try:
            return await differences(session, declared)
        finally:
            await session.close()
    except Unavailable as error:
        raise EnvironmentUnready(
            f"cannot look at the broker at {address}", hint="check broker.url: ordermill check"
        ) from error


def _print(declared: Topology, live: Live | None, format_: str) -> None:
    depths: Depths = {} if live is None else live.depths
    if format_ == "json":
        _print_json(declared, live)
        return
    if live is not None:
        _say(live)
    for line in (_mermaid if format_ == "mermaid" else _text)(declared, depths):
        click.echo(line)


def _say(live: Live) -> None:
    """Say on standard error what is wrong with the broker, and what it does not tell."""
    for alarm in live.alarms or ():
        click.echo(f"the broker is short of {alarm}: whoever publishes waits", err=True)
    for reason in live.missing:
        click.echo(f"rates and ages: {reason}", err=True)


def _print_json(declared: Topology, live: Live | None) -> None:
    depths: Depths = {} if live is None else live.depths
    fields = cast("Json", msgspec.to_builtins(declared))
    queues = [
        {**row, **depths.get(str(row["name"]), {})} for row in cast("list[Json]", fields["queues"])
    ]
    consumers = [{"service": name, "queue": name} for name in SUBSCRIPTIONS]
    told = {} if live is None else live.told
    print_json("topology", **{**fields, "queues": queues, "consumers": consumers, **told})


def _print_changes(before: Live, now: Live, format_: str) -> None:
    """Print what is not as it was; a message that has only grown older is."""
    changed = {
        name: row
        for name, row in now.depths.items()
        if {**row, AGE: None} != {**before.depths.get(name, {}), AGE: None}
    }
    is_news = before.told != now.told
    if format_ == "json":
        if changed or is_news:
            print_json("topology-change", queues=changed, **now.told)
        return
    if is_news:
        _say(now)
    for name, row in changed.items():
        more = _more_figures(row)
        click.echo(f"{name:<22} {_figures(row)}{', ' if more else ''}{more}")


def _text(declared: Topology, depths: Depths) -> Iterator[str]:
    for exchange in declared.exchanges:
        yield f"exchange  {exchange.name:<10} {exchange.type}"
    for exchange_name, key in dict.fromkeys(
        (binding.exchange, binding.routing_key) for binding in declared.bindings
    ):
        queues = _bound(declared, exchange_name, key)
        yield f"route     {exchange_name:<10} {key:<28} -> {', '.join(queues)}"
    for queue in declared.queues:
        kind = queue.arguments["x-queue-type"]
        figures = f"   {_figures(depths[queue.name])}" if queue.name in depths else ""
        yield f"queue     {queue.name:<22} {kind:<8} {_purpose(queue)}{figures}"
        if more := _more_figures(depths.get(queue.name, {})):
            yield f"          {'':<22} {'':<8} {more}"
    for service, events in SUBSCRIPTIONS.items():
        yield f"consumer  {service:<10} {', '.join(events)}"


def _figures(row: Json) -> str:
    return f"{row['ready']} ready, {row['consumers']} consumers"


def _more_figures(row: Json) -> str:
    """Return what the broker has told besides, where there is anything to tell."""
    told = {name: row.get(name) for name in (*MORE, AGE)}
    parts = [f"{told[name]:g} {text}" for name, text in MORE.items() if told[name]]
    age_s = cast("float | None", told[AGE])
    return ", ".join([*parts, *([] if age_s is None else [f"the oldest {duration(age_s)} old"])])


def _bound(declared: Topology, exchange: str, key: str) -> Sequence[str]:
    return [
        row.queue for row in declared.bindings if (row.exchange, row.routing_key) == (exchange, key)
    ]


def _purpose(queue: Queue) -> str:
    tier_s = retry_tier_s(queue)
    if tier_s is not None:
        return f"back to {queue.arguments['x-dead-letter-routing-key']} after {tier_s} s"
    if queue.name in SUBSCRIPTIONS:
        return f"consumed by {queue.name}"
    return "parked, until an operator decides"


def _mermaid(declared: Topology, depths: Depths) -> Iterator[str]:
    """Yield a flowchart (mermaid.js.org): who publishes what to where, and who consumes it."""
    yield "flowchart LR"
    yield '  order-events["order-events"]'
    for exchange in declared.exchanges:
        yield f"  exchange-{exchange.name}{{{{{exchange.name}}}}}"
        yield f"  order-events --> exchange-{exchange.name}"
    for queue in declared.queues:
        figures = f"<br>{_figures(depths[queue.name])}" if queue.name in depths else ""
        yield f'  {queue.name}[("{queue.name}{figures}")]'
    for binding in declared.bindings:
        name = binding.routing_key.removeprefix(f"{binding.exchange}.")
        assert name in EVENT_TYPES, "a binding is for one event"
        yield f"  exchange-{binding.exchange} -->|{name}| {binding.queue}"
    for service in SUBSCRIPTIONS:
        yield f'  {service} --> {service}-service["{service}"]'
        yield f"  {service}-service -.->|parks| {dead_queue(service)}"
    for queue in declared.queues:
        if retry_tier_s(queue) is not None:
            service = str(queue.arguments["x-dead-letter-routing-key"])
            yield f"  {service}-service -.->|tries later| {queue.name} -.-> {service}"
