"""Whole order systems to send orders to: ordermill as ``ordermill up`` runs it, and the rival."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from bench.ports import free_port
from bench.processes import ORDERMILL, running

ORDER = msgspec.json.encode(
    {
        "customer": {"name": "Ada Lovelace", "email": "ada@example.org"},
        "items": [{"sku": "MUG-1", "quantity": 2}],
        "shipping_address": {
            "name": "Ada Lovelace",
            "line1": "Invalidenstrasse 116",
            "city": "Berlin",
            "postal_code": "10115",
            "country": "DE",
        },
        "payment": {"token": "pm_card_visa"},
    }
)


def _set(*settings: str) -> tuple[str, ...]:
    return tuple(part for setting in settings for part in ("--set", setting))


# No waiting for second thoughts, no limit a guest; the rest is as it comes. Logs go to a file.
UNHURRIED = _set("payment.hold_s=0", "shipping.hold_s=0", "api.rate_per_min=0")
_PORTS = ("order_events.port", "payment.port", "shipping.port", "notification.port")
SETTINGS = UNHURRIED + _set(*(f"{port}=0" for port in _PORTS))


class Place(msgspec.Struct, frozen=True):
    """Where a system takes orders (``url``, ``path``), mails its customers, and which it is."""

    url: str
    path: str
    mails: Path
    pids: tuple[int, ...]
    data: Path


@contextmanager
def ordermill(folder: Path, broker_url: str, program: Sequence[str] = ORDERMILL) -> Iterator[Place]:
    """Run ``ordermill up`` on a RabbitMQ: all services in one process."""
    command = (
        *program,
        *SETTINGS,
        *("up", "--broker", broker_url, "--data-dir", str(folder), "--port", "0"),
        *("--auto-ship", "0"),
    )
    with running("ordermill", command, folder) as process:
        url = process.wait_for("ready in").split()[-1]
        yield Place(url, "/v1/orders", folder / "mail" / "new", (process.pid,), folder)


@contextmanager
def ordermill_apart(folder: Path, broker_url: str) -> Iterator[Place]:
    """Run ``ordermill serve all --split`` on a RabbitMQ: each service in a process of its own."""
    ports = [f"{port}={free_port()}" for port in (*_PORTS, "http.port")]
    places = f"data_dir={folder}", f"broker.url={broker_url}", "shipping.auto_ship_s=0"
    command = (*ORDERMILL, *UNHURRIED, *_set(*ports, *places), "serve", "all", "--split")
    with running("ordermill", command, folder) as process:
        url = process.wait_for(" processes ").split()[-1]
        yield Place(url, "/v1/orders", folder / "mail" / "new", process.family(), folder)


@contextmanager
def faststream(
    folder: Path, broker_url: str, *, safe: bool, shares: Sequence[str] = ("all",)
) -> Iterator[Place]:
    """Run the rival (`bench.rivals.faststream_shop`), each share of its services as a process."""
    from bench.rivals.faststream_shop import command_for

    with ExitStack() as stack:
        processes, lines = [], []
        # One after the other: at once they lock each other out of the database they make.
        for share in shares:
            command = command_for(folder, broker_url, share, safe=safe)
            processes.append(stack.enter_context(running(share, command, folder)))
            lines.append(processes[-1].wait_for("ready"))
        url = lines[0].split()[-1]
        pids = tuple(process.pid for process in processes)
        yield Place(url, "/orders", folder / "mail" / "new", pids, folder)
