"""``http``: POST /v1/orders at the gateway, and at a bare Quart handler that decodes the same body.

Both are a process of their own, and 32 connections are kept busy from this one. Only the servers'
CPU time counts. ``ordermill`` answers when the order is durable; ``ordermill-gateway`` has an order
store that answers at once, and so shows the gateway's own work.
"""

import sys
from collections.abc import Sequence
from functools import partial

import anyio

from bench.case import Case, Contender, Round
from bench.http_client import Client
from bench.load import closed, drive
from bench.meter import Meter
from bench.processes import running
from bench.sample import Sample
from bench.systems import ORDER

CONNECTIONS = 32
WARM_UP = 200


def measure(
    task: Round,
    *,
    module: str,
    arguments: Sequence[str] = (),
    python: Sequence[str] = (sys.executable,),
) -> Sample:
    """Send requests to a server: a module that is told a folder, and says when it is ready."""
    command = (*python, "-m", module, "--folder", str(task.folder), *arguments)
    with running(task.contender, command, task.folder) as server:
        url = server.wait_for("ready").split()[-1]
        return anyio.run(_send, task, url, server.pid)


async def _send(task: Round, url: str, pid: int) -> Sample:
    client, meter = Client.of(url), Meter([pid])
    refused = 0

    async def post(_number: int) -> None:
        nonlocal refused
        answer = await client.post("/v1/orders", ORDER)
        refused += answer.status != 201

    await drive(closed(CONNECTIONS), min(WARM_UP, task.operations), post)
    with meter.running():
        latencies = await drive(task.load or closed(CONNECTIONS), task.operations, post)
    await client.close()
    return meter.sample(task.operations, latencies, errors=refused)


CASE = Case(
    name="http",
    title="POST /v1/orders",
    operation="request",
    operations=4_000,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="gateway and order-events in one process; answers after the commit",
            guarantees="durable (FULL), checked, idempotent by key, guarded",
            run=partial(measure, module="bench.gateway"),
        ),
        Contender(
            name="ordermill-gateway",
            role="ours",
            how="the gateway alone, its order store answers at once",
            guarantees="checked; nothing is kept",
            run=partial(measure, module="bench.gateway", arguments=("--alone",)),
        ),
        Contender(
            name="quart",
            role="limit",
            how="a Quart 0.22 handler on Hypercorn 0.18 that decodes the same body with msgspec",
            guarantees="nothing is kept",
            run=partial(measure, module="bench.rivals.quart"),
        ),
    ),
)
