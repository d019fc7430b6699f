"""The same steps on the core and on another broker, compared step by step, frame by frame.

The core goes first, in memory: what it says after each step is what the other must say. Left out of
the comparison is only what RabbitMQ itself leaves open: how confirms are bundled into frames, and
the order in which deliveries from *different* queues reach one channel. Where that order differs,
the delivery tags do, too: later steps are translated, and the comparison ends (`FREE`) where one
tag would stand for several deliveries.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain

from tests.runtime.broker.conformance.peer import Peer, Target
from tests.runtime.broker.conformance.player import Stage
from tests.runtime.broker.conformance.script import fields, spoken
from tests.runtime.broker.conformance.targets import InMemory, Listening

LATE_S_MAX = 2.0
AGAIN = 3
Connect = Callable[[], Listening]
SLEEP_S = 0.25
# Frames by channel ("A1"), in order; "end" where the socket was closed.
Frames = dict[str, list[str]]


@dataclass(frozen=True)
class Step:
    """One line, and everything that was heard because of it."""

    line: str
    frames: Frames


@dataclass(frozen=True)
class Difference:
    """After ``step``, the other broker said something else."""

    number: int
    step: Step
    got: Frames

    def __str__(self) -> str:
        told = [f"step {self.number}: {self.step.line}"]
        for channel in sorted({*self.step.frames, *self.got}):
            core, other = self.step.frames.get(channel, []), self.got.get(channel, [])
            if core != other:
                told += [f"  core  {channel} < {text}" for text in core or ["nothing"]]
                told += [f"  other {channel} < {text}" for text in other or ["nothing"]]
        return "\n".join(told)


FREE = "the order between queues is free"


@dataclass
class Performance:
    """A stage, and who has been heard to end on it."""

    target: Target
    stage: Stage = field(init=False)
    ended: set[Peer] = field(default_factory=set)
    _settled: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stage = Stage(self.target)

    def do(self, line: str, awaited: Frames | None = None) -> Frames:
        """Do one step and return what is heard; wait for as many frames as are ``awaited``."""
        self.stage.act(line)
        self.target.await_stillness()
        heard: Frames = {}
        self._hear(heard, 0.0)
        if awaited is not None:
            waited_s, pause_s = 0.0, 0.02
            while waited_s < LATE_S_MAX and _is_short(heard, awaited):
                self._hear(heard, pause_s)
                waited_s += pause_s
        if line.endswith("0 > connection.close"):
            # Who closes the socket now is free: RabbitMQ leaves it to the client.
            heard = {
                channel: [one for one in texts if one != "end"] for channel, texts in heard.items()
            }
        return heard

    def _hear(self, heard: Frames, patience_s: float) -> None:
        for label, peer in self.stage.peers.items():
            peer.read_all(patience_s)
            for channel, texts in peer.inbox.items():
                if texts:
                    heard.setdefault(f"{label}{channel}", []).extend(texts)
                    texts.clear()
            if peer.ended and peer not in self.ended:
                self.ended.add(peer)
                heard.setdefault(f"{label}0", []).append("end")

    def finish(self) -> Frames:
        """Cut all connections."""
        for label in list(self.stage.peers):
            self.stage.act(f"drop {label}")
        self.target.await_stillness()
        return {}


def _is_short(heard: Frames, awaited: Frames) -> bool:
    return any(
        _confirmed(texts) - _confirmed(heard.get(channel, []))
        or len(_others(heard.get(channel, []))) < len(_others(texts))
        for channel, texts in awaited.items()
    )


def rehearse(lines: Sequence[str]) -> list[Step]:
    """Perform the lines on the core, with what a well-behaved client adds: see `Rehearsal`."""
    rehearsal = Rehearsal(InMemory())
    for line in lines:
        rehearsal.do(line)
    return rehearsal.steps


class Rehearsal:
    """Performs lines on the core, and keeps the client well-behaved where it is not the point.

    It agrees to every close, opens a closed channel again before it uses it, and connects again
    after the end of a connection. Where something is due soon it waits for it, for another broker
    does not stand still between two steps.
    """

    def __init__(self, target: InMemory) -> None:
        self._target = target
        self.performance = Performance(target)
        self.lines: list[str] = []
        self.steps: list[Step] = []
        self._closed: set[tuple[str, int]] = set()

    def do(self, line: str) -> Frames:
        """Do a line, and what must be done before and after it; return what the line brought."""
        self.lines.append(line)
        for generated, alias in self.performance.stage.names.items():
            line = line.replace(generated, alias)
        said = spoken(line)
        if said is not None and (said.peer, said.channel) in self._closed:
            self._closed.discard((said.peer, said.channel))
            if said.method != "channel.open":
                self._step(f"{said.peer}{said.channel} > channel.open")
        frames = self._step(line)
        if said is not None and said.method == "channel.close":
            self._closed.add((said.peer, said.channel))
        self._agree(frames)
        now = self._target.clock.time
        if any(now < due <= now + SLEEP_S for due in self._due()):
            self._step(f"sleep {SLEEP_S}")
        return frames

    def _due(self) -> Iterator[float]:
        """When something happens by itself; a lifetime ends wherever the message is."""
        broker = self._target.broker
        yield broker.next_timer() or 0.0
        queues = (queue for vhost in broker.vhosts.values() for queue in vhost.queues.values())
        ready = (entry for queue in queues for entry in queue)
        channels = (one for peer in broker.connections.values() for one in peer.channels.values())
        held = (held.entry for channel in channels for held in channel._held.values())
        for entry in chain(ready, held):
            yield entry.expires_at or 0.0

    def _step(self, line: str) -> Frames:
        frames = self.performance.do(line)
        self.steps.append(Step(line, frames))
        return frames

    def _agree(self, frames: Frames) -> None:
        for channel, texts in frames.items():
            label, number = channel[0], int(channel[1:])
            for text in texts:
                if text.startswith("channel.close "):
                    self._closed.add((label, number))
                    self._step(f"{label}{number} > channel.close-ok")
                elif text.startswith("connection.close "):
                    self._step(f"{label}0 > connection.close-ok")
        for label, peer in list(self.performance.stage.peers.items()):
            if peer.ended:
                self._step(f"drop {label}")
                self._closed = {one for one in self._closed if one[0] != label}


def compare(steps: Sequence[Step], target: Target) -> Difference | str | None:
    """Perform the steps on another broker; `FREE` if it took a freedom that ends the comparison."""
    performance = Performance(target)
    tags = Tags()
    try:
        for number, step in enumerate(steps):
            line = tags.translated(step.line)
            if line is None:
                return FREE
            got = performance.do(line, step.frames)
            if _plain(got) == _plain(step.frames):
                continue
            if _plain(got, by_consumer=True) != _plain(step.frames, by_consumer=True):
                return Difference(number, step, got)
            tags.learn(step.frames, got)
    finally:
        performance.finish()
    return None


def verdict(lines: Sequence[str], connect: Connect) -> Difference | str | None:
    """Compare the core with the other broker on these lines."""
    steps = rehearse(lines)
    with closing(connect()) as target:
        return compare(steps, target)


def reproducible(lines: Sequence[str], connect: Connect) -> Difference | None:
    """A difference that is there each time, or None: what a broker does only sometimes is free."""
    found = None
    for _ in range(AGAIN):
        found = verdict(lines, connect)
        if not isinstance(found, Difference):
            return None
    assert isinstance(found, Difference)
    return found


class Tags:
    """Which delivery tags the other broker gave to the deliveries that it made in another order."""

    def __init__(self) -> None:
        self._other: dict[tuple[str, int], int] = {}

    def learn(self, core: Frames, other: Frames) -> None:
        """The same deliveries came in another order."""
        for channel, texts in core.items():
            theirs = _tags_by_consumer(other.get(channel, []))
            for consumer, tags in _tags_by_consumer(texts).items():
                for tag, their in zip(tags, theirs[consumer], strict=True):
                    self._other[channel, tag] = their

    def translated(self, line: str) -> str | None:
        """The line for the other broker; None where it would mean other deliveries there."""
        said = spoken(line)
        if said is None or said.method == "channel.open":
            # A new channel counts anew, and so does what comes after a lost connection.
            place = line.removeprefix("drop ") if said is None else f"{said.peer}{said.channel}"
            self._other = {key: tag for key, tag in self._other.items() if place not in key[0]}
            return line
        if said.method not in ("basic.ack", "basic.nack", "basic.reject"):
            return line
        channel = f"{said.peer}{said.channel}"
        if not any(known == channel for known, _ in self._other):
            return line
        told = fields(said.text.partition(" ")[2])
        if told.get("multiple"):
            return None
        tag = int(str(told["delivery_tag"]))
        their = self._other.get((channel, tag), tag)
        return line.replace(f"delivery_tag={tag}", f"delivery_tag={their}")


def _tags_by_consumer(texts: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for text in texts:
        if text.startswith("basic.deliver "):
            said = fields(text.partition(" ")[2])
            found.setdefault(str(said["consumer_tag"]), []).append(int(str(said["delivery_tag"])))
    return found


def _plain(frames: Frames, *, by_consumer: bool = False) -> dict[str, object]:
    """What is compared: confirms as sets, everything else in order (deliveries by consumer)."""
    return {
        channel: (_confirmed(texts), _by_consumer(texts) if by_consumer else _others(texts))
        for channel, texts in frames.items()
    }


def _by_consumer(texts: Sequence[str]) -> list[object]:
    """Frames in order; deliveries in a row are sorted by consumer, and lose their tags."""
    found: list[object] = []
    deliveries: dict[str, list[str]] = {}
    for text in _others(texts):
        if text.startswith("basic.deliver "):
            said = fields(text.partition(" ")[2])
            del said["delivery_tag"]
            deliveries.setdefault(str(said["consumer_tag"]), []).append(str(said))
        else:
            found += [deliveries, text]
            deliveries = {}
    return [*found, deliveries]


def _confirmed(texts: Sequence[str]) -> set[tuple[str, int]]:
    """The publishes that were settled. A step publishes once, so ``multiple`` says nothing more."""
    return {(name, number) for name, number in map(_settlement, texts) if number}


def _others(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if not _settlement(text)[1]]


def _settlement(text: str) -> tuple[str, int]:
    name, _, rest = text.partition(" ")
    if name not in ("basic.ack", "basic.nack"):
        return name, 0
    return name, int(str(fields(rest)["delivery_tag"]))
