"""A run with everything kept that a person may want to see: trace, deliveries, log lines, scene."""

import msgspec

from sim.observer import Log
from sim.outcome import Task, execute
from sim.report.scene import Scene
from sim.report.staging import stage
from sim.run import Result, Running
from sim.trace import Event


class Recorded(msgspec.Struct, frozen=True):
    """A run that is over, and all that was kept of it."""

    result: Result
    scene: Scene
    events: list[Event]
    log: list[str]


class _Recorder:
    """Is shown a run before it begins, and keeps what it is asked to see."""

    running: Running

    def __init__(self) -> None:
        self.log: list[str] = []

    def attach(self, running: Running) -> None:
        """Listen from now on."""
        self.running = running
        running.world.log = Log(self._line)

    def _line(self, node: str, line: str) -> None:
        fields = msgspec.json.decode(line)
        fields.pop("at")
        level, event = fields.pop("level"), fields.pop("event")
        details = " ".join(f"{name}={value}" for name, value in fields.items())
        now = self.running.engine.now
        self.log.append(f"t=+{now:.6f}s {node:<12} {level:<7} {event} {details}".rstrip())


def record(task: Task) -> Recorded:
    """Run a task, and keep all of it. The run is the same as any other of the task."""
    recorder = _Recorder()
    result = execute(task, keep_trace=True, attach=recorder.attach)
    running = recorder.running
    return Recorded(result, stage(running, result), running.engine.trace.events, recorder.log)
