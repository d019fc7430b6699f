"""The bare limit of mailboxes and asks in pure Python: a deque and a future, nothing around them.

Run alone: ``python -m bench.rivals.bare``.
"""

import asyncio
import time
from collections import deque

from bench.case import Round
from bench.meter import Meter
from bench.rivals.alone import alone
from bench.sample import Sample

BURST = 512


class _Queue:
    """An unbounded mailbox for one receiver."""

    def __init__(self) -> None:
        self.items: deque[object] = deque()
        self._arrived: asyncio.Future[None] | None = None

    def put(self, item: object) -> None:
        self.items.append(item)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def wait(self) -> None:
        self._arrived = asyncio.get_running_loop().create_future()
        await self._arrived
        self._arrived = None


def tell(task: Round) -> Sample:
    """Put messages into the deque; a task drains it."""
    return asyncio.run(_tell(task))


async def _tell(task: Round) -> Sample:
    queue, meter = _Queue(), Meter()
    received = 0

    async def receive(_message: object) -> None:
        nonlocal received
        received += 1

    async def drain() -> None:
        while received < task.operations:
            if not queue.items:
                await queue.wait()
            while queue.items:
                await receive(queue.items.popleft())

    with meter.running():
        draining = asyncio.ensure_future(drain())
        for start in range(0, task.operations, BURST):
            for number in range(start, min(start + BURST, task.operations)):
                queue.put(number)
            await asyncio.sleep(0)
        await draining
    return meter.sample(task.operations)


def ask(task: Round) -> Sample:
    """Send a future along and wait for it; no deadline."""
    return asyncio.run(_ask(task))


async def _ask(task: Round) -> Sample:
    queue, meter = _Queue(), Meter()
    latencies = []

    async def answer() -> None:
        while True:
            if not queue.items:
                await queue.wait()
            item = queue.items.popleft()
            assert isinstance(item, asyncio.Future)
            item.set_result(1)

    loop = asyncio.get_running_loop()
    answering = asyncio.ensure_future(answer())
    with meter.running():
        for _ in range(task.operations):
            began = time.perf_counter()
            answered = loop.create_future()
            queue.put(answered)
            await answered
            latencies.append(time.perf_counter() - began)
    answering.cancel()
    return meter.sample(task.operations, latencies)


if __name__ == "__main__":
    alone(("mailbox", "bare"), ("ask", "bare"))
