"""Load: operations that begin on a schedule (open loop), or as others end (closed loop).

In an open loop an operation's latency counts from when it was meant to begin: a system that stalls
is charged for everybody who would have come meanwhile ("coordinated omission", Gil Tene). In a
closed loop it counts from when it began, so that loop is for saturation, not for latencies.
"""

import time
from collections.abc import Awaitable, Callable

import anyio
import msgspec


class Load(msgspec.Struct, frozen=True):
    """``rate`` operations a second on a schedule, or else ``open_max`` of them at a time.

    In an open loop ``open_max`` bounds those that were begun and have not ended: what would be
    above it begins late, and its latency shows it.
    """

    rate: float | None = None
    open_max: int = 64


def closed(open_max: int) -> Load:
    """Return a load of this many operations at a time."""
    return Load(None, open_max)


def at_rate(rate: float) -> Load:
    """Return a load of this many operations a second."""
    return Load(rate, 4096)


async def drive(
    load: Load, operations: int, operate: Callable[[int], Awaitable[None]]
) -> list[float]:
    """Do ``operate(0)``, ``operate(1)``, ...; return the latencies in seconds."""
    if load.rate is None:
        return await _closed(load.open_max, operations, operate)
    return await _open(load.rate, load.open_max, operations, operate)


async def _closed(
    open_max: int, operations: int, operate: Callable[[int], Awaitable[None]]
) -> list[float]:
    latencies = [0.0] * operations
    numbers = iter(range(operations))

    async def repeat() -> None:
        for number in numbers:
            began = time.perf_counter()
            await operate(number)
            latencies[number] = time.perf_counter() - began

    async with anyio.create_task_group() as group:
        for _ in range(min(open_max, operations)):
            group.start_soon(repeat)
    return latencies


async def _open(
    rate: float, open_max: int, operations: int, operate: Callable[[int], Awaitable[None]]
) -> list[float]:
    latencies = [0.0] * operations
    room = anyio.Semaphore(open_max)
    first = time.perf_counter()

    async def once(number: int, meant: float) -> None:
        try:
            await operate(number)
        finally:
            room.release()
        latencies[number] = time.perf_counter() - meant

    async with anyio.create_task_group() as group:
        for number in range(operations):
            meant = first + number / rate
            ahead = meant - time.perf_counter()
            if ahead > 0:
                await anyio.sleep(ahead)
            await room.acquire()
            group.start_soon(once, number, meant)
    return latencies
