"""A run with everything kept that a person may want to see: trace, states, log lines, scene."""

import msgspec

from sim.observer import Log
from sim.outcome import Task, execute
from sim.report.names import Names
from sim.report.scene import Scene
from sim.report.staging import stage
from sim.report.states import QUEUES, Sample, States, states_of
from sim.run import Result, Running
from sim.trace import Event
from sim.world import SimulatedWorld


class Recorded(msgspec.Struct, frozen=True):
    """A run that is over, and all that was kept of it."""

    result: Result
    scene: Scene
    events: list[Event]
    log: list[str]
    states: States


class _Recorder:
    """Is shown a run before it begins, and keeps what it is asked to see."""

    running: Running

    def __init__(self) -> None:
        self.log: list[str] = []
        self.samples: list[Sample] = []

    def attach(self, running: Running) -> None:
        """Listen from now on."""
        self.running = running
        running.world.log = Log(self._line)
        running.engine.trace.watch = self._look

    def _look(self, event: Event) -> None:
        """Note what the broker holds, where that has changed since the event before."""
        held = _held(self.running.world)
        if not self.samples or self.samples[-1].queues != held:
            self.samples.append(Sample(event.step, held))

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
    scene, seen = stage(running, result), running.world.witness
    names = Names(running.world.shop.history, seen.commits)
    states = states_of(scene, names, seen.commits, recorder.samples)
    return Recorded(result, scene, running.engine.trace.events, recorder.log, states)


def _held(world: SimulatedWorld) -> QUEUES | None:
    """Return what lies in the broker's queues; None while it is down."""
    node = world.nodes.get("broker") or world.nodes["shop"]
    statistics = None if world.broker is None else world.broker.statistics()
    if statistics is None or not node.up:
        return None
    return tuple((one.name, one.ready, one.unacked) for one in statistics.queues)
