import anyio
from anyio.lowlevel import checkpoint

from runtime.child import ChildContext
from runtime.loop_lag import loop_lag_child
from runtime.telemetry import quiet_telemetry


class LateClock:
    """Each look at it is half a second after the one before."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now

    def wall(self) -> float:
        return self.now


async def test_the_lag_is_what_passed_beyond_the_time_asked_for() -> None:
    telemetry, context = quiet_telemetry(), ChildContext("loop-lag")
    child = loop_lag_child(LateClock(), telemetry, every_s=0.001)
    async with anyio.create_task_group() as group:
        group.start_soon(child.run, context)
        with anyio.fail_after(10):
            while b"event_loop_lag_seconds 0.499" not in telemetry.render():
                await checkpoint()
        context.stopping.set()
