"""A run that stops at a step, or at the first event of some sort: for looking at its insides."""

import pdb

import msgspec

from sim.outcome import Task, execute
from sim.run import Running
from sim.trace import Event
from sim.trace_files import show


class Breakpoint(msgspec.Struct, frozen=True):
    """``step`` of the trace (0: any), ``event``: text that the event's line must hold."""

    step: int = 0
    event: str = ""

    def hit(self, event: Event) -> bool:
        """Whether an event is where to stop."""
        return event.step >= self.step and (not self.event or self.event in show(event))


class _Watcher:
    """Keeps the events until the breakpoint, and stops the loop there; or opens the debugger."""

    def __init__(self, where: Breakpoint, *, interactive: bool) -> None:
        self.events: list[Event] = []
        self.stopped = False
        self._where = where
        self._interactive = interactive
        self._running: Running | None = None

    def attach(self, running: Running) -> None:
        """Watch a run that is about to begin."""
        self._running = running
        running.engine.trace.watch = self._seen

    def _seen(self, event: Event) -> None:
        if self.stopped:
            return
        self.events.append(event)
        if self._where.hit(event):
            if self._interactive:
                pdb.Pdb().set_trace()  # "up" leads to what made the event
                return
            self.stopped = True
            assert self._running is not None, "it was attached"
            self._running.engine.loop.stop()


def stopped(task: Task, where: Breakpoint, *, interactive: bool) -> list[Event]:
    """Run until ``where`` and return the trace until there; on a terminal the debugger opens."""
    watcher = _Watcher(where, interactive=interactive)
    try:
        execute(task, keep_trace=True, attach=watcher.attach)
    except RuntimeError:
        # asyncio's word for a loop that was stopped before its main task was done.
        if not watcher.stopped:
            raise
    return watcher.events
