"""Whole order systems to send orders to: ordermill as ``ordermill up`` runs it, and the rival."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

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
# No waiting for second thoughts, no limit a guest; the rest is as it comes. Logs go to a file.
SETTINGS = (
    *("--set", "payment.hold_s=0", "--set", "shipping.hold_s=0", "--set", "api.rate_per_min=0"),
    *("--set", "order_events.port=0", "--set", "payment.port=0", "--set", "shipping.port=0"),
    *("--set", "notification.port=0"),
)


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
