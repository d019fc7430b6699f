"""The bare limit of durable appends: the same event and outbox rows, and nothing around them.

The tables are those of the first schema: without the index by type that the log has now.

`many` commits in groups through aiosqlite, one round trip to its thread a group; `one` commits each
event by itself with `sqlite3` in the calling thread.
Run alone: ``python -m bench.rivals.aiosqlite``.
"""

import asyncio
import sqlite3
import time

import aiosqlite

from bench.case import Round
from bench.load import closed, drive
from bench.meter import Meter
from bench.rivals.alone import alone
from bench.sample import Sample
from runtime import event_store, outbox

CALLERS = 64
EVENT = (
    "INSERT INTO events (stream, version, event_id, type, schema_version, data, app_id,"
    " correlation_id, stream_correlation, recorded_at_ms, traceparent)"
    " VALUES (?, 1, ?, 'payment-captured', 1, ?, 'payment-service', ?, 'req_1', ?, NULL)"
)
MESSAGE = (
    "INSERT INTO outbox (key, exchange, routing_key, timestamp, properties, body)"
    " VALUES (?, 'payment', 'payment.payment-captured', ?, ?, ?)"
)
DATA = b'{"attempt":1,"charge_id":"ch_01JD","amount":{"amount":4890,"currency":"EUR"}}'
PROPERTIES = b"p" * 180
BODY = b'{"order_id":"ord_01JD0000000000000000000000","version":3,"data":' + DATA + b"}"
PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"


def _rows(number: int) -> tuple[tuple[object, ...], tuple[object, ...]]:
    stream, at_ms = f"ord_{number:026}", int(time.time() * 1000)
    event = (stream, f"evt_c{number:026}", DATA, f"evt_b{number:026}", at_ms)
    return event, (stream, at_ms // 1000, PROPERTIES, BODY)


def many(task: Round) -> Sample:
    """Append for 64 callers, everything that waits in one transaction."""
    return asyncio.run(_many(task))


async def _many(task: Round) -> Sample:
    meter = Meter()
    waiting: list[tuple[int, asyncio.Future[None]]] = []
    arrived = asyncio.Event()
    async with aiosqlite.connect(task.folder / "limit.db", isolation_level=None) as database:
        await database.executescript(PRAGMAS + event_store.SCHEMA + outbox.SCHEMA)

        def commit(connection: sqlite3.Connection, numbers: list[int]) -> None:
            rows = [_rows(number) for number in numbers]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(EVENT, [event for event, _ in rows])
            connection.executemany(MESSAGE, [message for _, message in rows])
            connection.execute("COMMIT")

        async def write() -> None:
            while True:
                await arrived.wait()
                arrived.clear()
                group, waiting[:] = list(waiting), []
                numbers = [number for number, _ in group]
                # What the library's own methods do to run a function on its thread.
                call = database._execute(commit, database._conn, numbers)  # type: ignore[no-untyped-call]  # noqa: SLF001
                await call
                for _, answered in group:
                    answered.set_result(None)

        async def append(number: int) -> None:
            answered = asyncio.get_running_loop().create_future()
            waiting.append((number, answered))
            arrived.set()
            await answered

        writing = asyncio.ensure_future(write())
        with meter.running():
            latencies = await drive(task.load or closed(CALLERS), task.operations, append)
        writing.cancel()
    return meter.sample(task.operations, latencies)


def one(task: Round) -> Sample:
    """Append one event after the other, each with a COMMIT of its own."""
    meter = Meter()
    latencies = []
    connection = sqlite3.connect(task.folder / "limit.db", isolation_level=None)
    connection.executescript(PRAGMAS + event_store.SCHEMA + outbox.SCHEMA)
    with meter.running():
        for number in range(task.operations):
            began = time.perf_counter()
            event, message = _rows(number)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(EVENT, event)
            connection.execute(MESSAGE, message)
            connection.execute("COMMIT")
            latencies.append(time.perf_counter() - began)
    connection.close()
    return meter.sample(task.operations, latencies)


if __name__ == "__main__":
    alone(("append", "aiosqlite"), ("append", "sqlite-one"))
