"""``ordermill order``: what a customer or operator does, from the command line."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, cast
from urllib.parse import quote, urlencode

import click

from actors.cli import Options
from actors.commands.client import Api, Json, explain
from actors.commands.operating import Services, confirm, operator_command
from actors.commands.settings import load_settings
from actors.services import ServiceName
from runtime.errors import ConfigurationError, Rejection, Unavailable

P = ParamSpec("P")

SAMPLE_ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "Invalidenstrasse 116",
    "city": "Berlin",
    "postal_code": "10115",
    "country": "DE",
}
FORMAT = click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")


@click.group()
def order() -> None:
    """Place, show, watch and change orders of a running system."""


def _command(run: Callable[Concatenate[Api, P], int | None]) -> Callable[P, None]:
    """Give the command an `Api`; a refusal is explained and exits with 1."""

    @wraps(run)
    def with_api(*args: P.args, **kwargs: P.kwargs) -> None:
        options = click.get_current_context().find_object(Options)
        assert options is not None, "global options are missing"
        try:
            code = run(Api(options, load_settings(options).settings), *args, **kwargs)
        except Rejection as rejection:
            explain(rejection)
            code = 1
        sys.exit(code or 0)

    return with_api


def _address(source: str) -> object:
    if source == "sample":
        return SAMPLE_ADDRESS
    try:
        return json.loads(Path(source).read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--address {source}: not a readable JSON file",
            hint='"sample", or a file with name, line1, city, postal_code, country',
        ) from error


def _payment(card: str) -> Json:
    if card.startswith("pm_"):
        return {"token": card}
    return {"card": {"number": card, "exp_month": 12, "exp_year": 2099, "cvc": "123"}}


def _items(items: tuple[str, ...]) -> list[Json]:
    lines: list[Json] = []
    for item in items:
        sku, _, quantity = item.partition("=")
        if not quantity.isdigit():
            raise ConfigurationError(f"--item {item}: expected SKU=QUANTITY, such as MUG-1=2")
        lines.append({"sku": sku, "quantity": int(quantity)})
    return lines


def _money(money: object) -> str:
    assert isinstance(money, dict)
    return f"{money['currency']} {money['amount'] / 100:.2f}"


def _print(answer: Json, format_: str) -> None:
    if format_ == "json":
        click.echo(json.dumps({"schema": "ordermill.order/v1", **answer}, indent=2))
        return
    payment = cast("Json", answer["payment"])
    shipping = cast("Json", answer["shipping"])
    click.echo(f"order {answer['id']}  no. {answer['number']}  {_money(answer['total'])}")
    click.echo(f"  status    {answer['status']}  (version {answer['version']})")
    click.echo(f"  payment   {payment['status']}")
    click.echo(f"  shipping  {shipping['status']}")
    actions = cast("dict[str, Json]", answer["allowed_actions"])
    allowed = [name for name, state in actions.items() if state["allowed"]]
    click.echo(f"  allowed   {', '.join(allowed) or 'nothing'}")


def _if_match(version: int | None) -> str | None:
    return None if version is None else f'"{version}"'


@order.command()
@click.option("--item", "items", multiple=True, default=("MUG-1=1",), show_default=True)
@click.option("--name", default="Ada Lovelace", show_default=True)
@click.option("--email", default="ada@example.org", show_default=True)
@click.option("--card", default="4242424242424242", show_default=True, help="Or a pm_card_ token.")
@click.option("--address", default="sample", show_default=True, help="JSON file, or sample.")
@click.option("--idempotency-key")
@click.option("--wait", "until", help="Wait for this status.")
@click.option("--timeout", "timeout_s", type=float, default=30.0, show_default=True)
@FORMAT
@_command
def create(
    api: Api,
    items: tuple[str, ...],
    name: str,
    email: str,
    card: str,
    address: str,
    idempotency_key: str | None,
    until: str | None,
    timeout_s: float,
    format_: str,
) -> int:
    """Place an order."""
    body = {
        "customer": {"name": name, "email": email},
        "items": _items(items),
        "shipping_address": _address(address),
        "payment": _payment(card),
    }
    answer = api.call("POST", "/v1/orders", body, idempotency_key=idempotency_key)
    _print(answer, format_)
    if format_ == "text":
        click.echo(f"  token     {answer['access_token']}")
    api.token = api.token or str(answer["access_token"])
    return _follow(api, str(answer["id"]), until, timeout_s, format_) if until else 0


@order.command()
@click.argument("order_id")
@click.option("--at", help="A version, or a time (RFC 3339).")
@FORMAT
@_command
def show(api: Api, order_id: str, at: str | None, format_: str) -> None:
    """Show an order as it is, or as it was."""
    _print(api.call("GET", f"/v1/orders/{order_id}" + (f"?at={quote(at)}" if at else "")), format_)


@order.command()
@click.argument("order_id")
@click.option("--until", help="Stop at this status.")
@click.option("--timeout", "timeout_s", type=float, default=60.0, show_default=True)
@click.option("--format", "format_", type=click.Choice(["text", "jsonl"]), default="text")
@_command
def watch(api: Api, order_id: str, until: str | None, timeout_s: float, format_: str) -> int:
    """Print an order's events as they happen."""
    return _follow(api, order_id, until, timeout_s, format_)


def _follow(api: Api, order_id: str, until: str | None, timeout_s: float, format_: str) -> int:
    for name, event in api.stream(f"/v1/orders/{order_id}/events/stream", timeout_s=timeout_s):
        if name != "order.event":
            continue
        if format_ == "text":
            click.echo(f"  v{event['version']:<3} {event['time']}  {event['type']}")
        else:
            click.echo(json.dumps({"schema": "ordermill.event/v1", **event}))
        path = f"/v1/orders/{order_id}?at={event['version']}"
        if until and api.call("GET", path)["status"] == until:
            return 0
    status = api.call("GET", f"/v1/orders/{order_id}")["status"]
    if until and status != until:
        raise Unavailable(f"order {order_id} is {status}, and will not become {until}")
    return 0


@order.command("list")
@click.option("--status")
@click.option("--email")
@click.option("--since", help="RFC 3339.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@FORMAT
@_command
def list_(
    api: Api, status: str | None, email: str | None, since: str | None, limit: int, format_: str
) -> None:
    """List orders, newest first (operator or viewer)."""
    given = {"status": status, "email": email, "since": since, "limit": limit}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    answer = api.call("GET", f"/v1/orders?{query}")
    if format_ == "json":
        click.echo(json.dumps({"schema": "ordermill.orders/v1", **answer}, indent=2))
        return
    for row in cast("list[Json]", answer["data"]):
        click.echo(f"{row['number']:>8}  {row['id']}  {row['status']:<16} {_money(row['total'])}")
    if answer.get("has_more"):
        click.echo(f"first {limit}; more with --limit", err=True)


@order.command()
@click.argument("order_id")
@click.option("--reason")
@click.option("--if-version", type=int)
@FORMAT
@_command
def cancel(
    api: Api, order_id: str, reason: str | None, if_version: int | None, format_: str
) -> None:
    """Call an order off, while that is still allowed."""
    body = {"reason": reason} if reason else {}
    path = f"/v1/orders/{order_id}/cancellation"
    _print(api.call("POST", path, body, if_match=_if_match(if_version)), format_)


@order.command("set-payment")
@click.argument("order_id")
@click.option("--card", required=True, help="A test card's number, or a pm_card_ token.")
@click.option("--if-version", type=int)
@FORMAT
@_command
def set_payment(api: Api, order_id: str, card: str, if_version: int | None, format_: str) -> None:
    """Pay with another card, until payment begins."""
    path = f"/v1/orders/{order_id}/payment"
    _print(api.call("PUT", path, _payment(card), if_match=_if_match(if_version)), format_)


@order.command("set-address")
@click.argument("order_id")
@click.option("--address", required=True, help="JSON file, or sample.")
@click.option("--if-version", type=int)
@FORMAT
@_command
def set_address(
    api: Api, order_id: str, address: str, if_version: int | None, format_: str
) -> None:
    """Ship to another address, until preparation begins."""
    path = f"/v1/orders/{order_id}/shipping-address"
    _print(api.call("PUT", path, _address(address), if_match=_if_match(if_version)), format_)


@order.command()
@click.argument("order_id")
@click.option("--reason", default="", help="For the audit.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operator_command
def erase(services: Services, order_id: str, reason: str, yes: bool) -> None:
    """Forget who is behind a settled order: mails, addresses, requests, vault (operator).

    What was cut off is finished by the same command again.
    """
    confirm(f"forget the person behind {order_id}, for good?", yes)
    why = {"reason": reason}
    erasure = services.call("order-events", "POST", f"/erasures/{quote(order_id)}", why)
    holders: dict[str, ServiceName] = {"mailer": "notification", "carrier": "shipping"}
    for step in cast("list[str]", erasure["left"]):
        if step in holders:
            services.call(holders[step], "POST", f"/erasures/{quote(order_id)}", why)
        services.call("order-events", "POST", f"/erasures/{quote(order_id)}/{step}", why)
        click.echo(f"erased  {step}")


@order.command()
@click.argument("order_id")
@click.option("--carrier", required=True)
@click.option("--tracking", required=True)
@FORMAT
@_command
def ship(api: Api, order_id: str, carrier: str, tracking: str, format_: str) -> None:
    """Report that a prepared order was shipped (operator)."""
    body = {"carrier": carrier, "tracking": tracking}
    _print(api.call("POST", f"/v1/orders/{order_id}/shipment", body), format_)
