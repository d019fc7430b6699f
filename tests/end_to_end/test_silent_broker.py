"""RabbitMQ silent for a minute: its VM is stopped (SIGSTOP), connections stay and nobody answers.

With the defaults: a confirm is waited for 10 s, a heartbeat is sent every 5 s and missed for 33 s.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from actors.services import SERVICES
from tests.harness.apart import Apart
from tests.harness.outage import (
    CONSUMERS,
    all_ready,
    assert_prepared_once,
    census,
    checks_say,
    cpu_s,
    ordering,
    seen,
)
from tests.harness.rabbitmq import RabbitMQ

SILENCE_S = 60.0
PUBLISHER_NOTICES_S = 12.0
CONSUMERS_NOTICE_S = 40.0
BACK_S = 10.0
SETTINGS = (
    *("payment.hold_s=0", "shipping.hold_s=0", "retry.tiers_s=1"),
    *("api.rate_per_min=0", "log.format=json"),
)


@pytest.fixture
def stopped(fresh_rabbitmq: RabbitMQ) -> Iterator[int]:
    """The process to stop; it goes on after the test, whatever happens."""
    yield fresh_rabbitmq.pid
    with suppress(ProcessLookupError):
        os.kill(fresh_rabbitmq.pid, signal.SIGCONT)


@pytest.fixture
def apart(fresh_rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Apart]:
    processes = Apart(tmp_path, f"{fresh_rabbitmq.url}{fresh_rabbitmq.vhost()}", *SETTINGS)
    try:
        processes.start()
        yield processes
    finally:
        processes.close()


@pytest.mark.rabbitmq
async def test_orders_are_taken_all_along_and_everybody_is_back_soon_after(
    apart: Apart, stopped: int
) -> None:
    names = ("order-events", *CONSUMERS)
    pids = {name: apart.process(name).pid for name in SERVICES}
    async with seen(apart) as system:
        await assert_prepared_once(system, [await system.place()])
        await all_ready(system, *SERVICES, within_s=30)
        before = await census(system, *names)
        assert set(before.values()) == {"running"}
        used_s = {name: cpu_s(pid) for name, pid in pids.items()}

        os.kill(stopped, signal.SIGSTOP)
        began = anyio.current_time()
        async with ordering(system, every_s=2.0) as customers:
            said = await checks_say(
                system, "order-events", "broker", "reconnecting|stalled", PUBLISHER_NOTICES_S
            )
            assert "no confirm within 10 s" in said
            for name in CONSUMERS:
                left_s = began + CONSUMERS_NOTICE_S - anyio.current_time()
                await checks_say(system, name, "broker", "reconnecting", left_s)
            await anyio.sleep_until(began + SILENCE_S)
        silent_s = anyio.current_time() - began
        busy = {name: (cpu_s(pid) - used_s[name]) / silent_s for name, pid in pids.items()}
        os.kill(stopped, signal.SIGCONT)

        assert await all_ready(system, *names, within_s=BACK_S) < BACK_S
        assert len(customers.orders) >= SILENCE_S / 2 / 2
        assert customers.slowest_s < 5
        assert max(busy.values()) < 0.05, busy
        await assert_prepared_once(system, customers.orders)
        assert await census(system, *names) == before
    for name in names:
        process = apart.process(name)
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert "no confirm within 10 s" in process.output or "no sign of life" in process.output
        assert "actor.crashed" not in process.output
