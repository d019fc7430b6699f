"""Measures how late the event loop comes to what is due: the first sign of work that blocks it."""

import anyio

from runtime.child import ChildContext, ChildSpec
from runtime.host import Clock
from runtime.telemetry import Telemetry


def loop_lag_child(clock: Clock, telemetry: Telemetry, *, every_s: float = 1.0) -> ChildSpec:
    """Return the child that sets the gauge ``event_loop_lag_seconds`` every ``every_s`` seconds."""

    async def run(context: ChildContext) -> None:
        context.started()
        while not context.stopping.is_set():
            due = clock.monotonic() + every_s
            with anyio.move_on_after(every_s):
                await context.stopping.wait()
                return
            telemetry.gauge("event_loop_lag_seconds", max(0.0, clock.monotonic() - due))

    return ChildSpec("loop-lag", run, shutdown_s=1.0)
