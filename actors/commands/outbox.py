"""``ordermill outbox``: what waits for the broker, and what the broker has lost."""

from typing import cast

import click

from actors.commands.client import Json
from actors.commands.events import published
from actors.commands.operating import FORMAT, Services, operator_command, print_json
from actors.domain.event_json import unix_ms
from actors.services import CONSUMERS
from actors.topology import SUBSCRIPTIONS
from runtime.errors import ConfigurationError, Rejection
from runtime.host import production_host

ASKED_MAX = 500
SAMPLE = 10
# The service has it, or has decided on it: nothing was lost.
SAFE = ("done", "parked", "held")


@click.group()
def outbox() -> None:
    """Look at what waits for the broker; wake the relay; offer again what the broker lost."""


@outbox.command()
@click.option("--max-age", "age", help="Exit 1 if the oldest is older, such as 60s.")
@FORMAT
@operator_command
def status(services: Services, age: str | None, format_: str) -> int:
    """Show how many messages wait, and since when."""
    age_s_max = _seconds(age)
    figures = services.call("order-events", "GET", "/outbox")
    if format_ == "json":
        print_json("outbox", **figures)
    else:
        _print(figures)
    oldest_s = cast("float", figures["oldest_age_s"])
    return 1 if age_s_max is not None and oldest_s > age_s_max else 0


@outbox.command()
@click.option("--reason", default="", help="For the audit.")
@operator_command
def flush(services: Services, reason: str) -> None:
    """Have the relay look now instead of at its next poll."""
    _print(services.call("order-events", "POST", "/outbox/flush", {"reason": reason}))


@outbox.command()
@click.option("--older-than", default="300s", show_default=True, help="Leave newer events alone.")
@click.option("--yes", is_flag=True, help="Offer them; without it, only say which.")
@click.option("--reason", default="not in the inbox", help="For the audit.")
@FORMAT
@operator_command
def reoffer(services: Services, older_than: str, yes: bool, reason: str, format_: str) -> int:
    """Offer again what was published and no service has: same ids, within dedup.retention_s."""
    figures = services.call("order-events", "GET", "/outbox")
    if figures["pending"]:
        raise Rejection("outbox-pending", "messages still wait for the broker: nothing is lost yet")
    missing = _missing(services, _seconds(older_than) or 0.0)
    if format_ == "json":
        print_json("reoffer", offered=yes, offers=missing)
    else:
        click.echo(f"{'offering' if yes else 'would offer'} {len(missing)} messages again")
        for offer in missing[:SAMPLE]:
            click.echo(f"  {offer['event_id']}  to {offer['queue']}")
    if yes:
        for start in range(0, len(missing), ASKED_MAX):
            body = {"offers": missing[start : start + ASKED_MAX], "reason": reason}
            services.call("order-events", "POST", "/outbox/reoffer", body)
    return 0


def _missing(services: Services, older_than_s: float) -> list[Json]:
    """Return what the services' inboxes do not have of what the log says was published."""
    now_ms = int(production_host(services.data_dir).clock.wall() * 1000)
    oldest_ms = now_ms - int(services.settings.dedup.retention_s * 1000)
    newest_ms = now_ms - int(older_than_s * 1000)
    events = [
        (str(event["id"]), str(event["type"]).partition("/")[0])
        for event in published(services)
        if oldest_ms <= unix_ms(str(event["time"])) <= newest_ms
    ]
    missing: list[Json] = []
    for queue in CONSUMERS:
        ids = [one for one, name in events if name in SUBSCRIPTIONS[queue]]
        for start in range(0, len(ids), ASKED_MAX):
            asked = ids[start : start + ASKED_MAX]
            answer = services.call(queue, "POST", "/inbox", {"ids": asked})
            states = cast("dict[str, str]", answer["states"])
            # A re-queued message counts as its own copy: only a marked one takes its place.
            missing += [
                {"event_id": one, "queue": queue, "replayed": states.get(one) == "requeued"}
                for one in asked
                if states.get(one) not in SAFE
            ]
    return missing


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    digits = text.removesuffix("s")
    if not digits.replace(".", "", 1).isdecimal():
        raise ConfigurationError(f"{text}: expected seconds, such as 60s")
    return float(digits)


def _print(figures: Json) -> None:
    click.echo(f"pending   {figures['pending']}")
    click.echo(f"oldest    {cast('float', figures['oldest_age_s']):.1f}s")
    click.echo(f"published {figures['published_total']} since the start")
    if figures["last_error"]:
        click.echo(f"error     {figures['last_error']}")
