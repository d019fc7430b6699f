"""Plays scripts: says what is sent, and compares what comes back. `script` describes the format."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.runtime.broker.conformance.peer import Peer, Target
from tests.runtime.broker.conformance.script import Scenario, spoken

LATE_S = 0.3  # what RabbitMQ's timers may still bring: it writes to disk five times a second


@dataclass
class Stage:
    """The connections of one performance; generated names are known to all of them."""

    target: Target
    peers: dict[str, Peer] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def peer(self, label: str, *, opened: bool = True) -> Peer:
        if label not in self.peers:
            peer = self.peers[label] = Peer(self.target)
            peer.names = self.names
            if opened:
                peer.open()
        return self.peers[label]

    def act(self, line: str) -> None:
        """Do what the line says, where nobody hears anything in it."""
        if not line or line.startswith("#"):
            return
        # RabbitMQ's processes race with each other, scripts don't: one line after the other.
        self.target.await_stillness()
        word, _, rest = line.partition(" ")
        if word == "sleep":
            self.target.sleep(float(rest))
        elif word == "connect":
            self.peer(rest, opened=False)
        elif word == "drop":
            self.peers.pop(rest).wire.close()
        elif word == "operate":
            self._operate(*rest.split(" ", 2))
        else:
            said = spoken(line)
            assert said is not None, f"what does this line mean? {line}"
            self.peer(said.peer).say(said.channel, said.text)

    def _operate(self, deed: str, object_: str, rest: str = "") -> None:
        if deed == "close_connection":
            self.target.operate(deed, self.peers[object_].wire, rest)
        else:
            named = {alias: generated for generated, alias in self.names.items()}
            self.target.operate(deed, None, named.get(object_, object_))


def play(scenario: Scenario, target: Target) -> None:
    """Play the scenario; AssertionError names the first line that differs."""
    stage = Stage(target)
    for number, line in enumerate(scenario.lines, 1):
        try:
            said = spoken(line)
            if said is None or said.is_sent:
                stage.act(line)
            else:
                stage.peer(said.peer).expect(said.channel, said.text)
        except (AssertionError, TimeoutError) as error:
            heading = f"{scenario.file.name}: {scenario.title}, line {number}: {line}"
            raise AssertionError(f"{heading}\n{error!r} {error}") from error
    target.await_stillness()
    for peer in stage.peers.values():
        peer.finish()


def record(scenario: Scenario, target: Target, note: Callable[[str], None]) -> None:
    """Play only what is sent, and note every line together with what came back."""
    stage, ended = Stage(target), list[str]()
    for line in scenario.lines:
        said = spoken(line)
        if said is not None and not said.is_sent:
            continue
        note(line)
        stage.act(line)
        target.await_stillness()
        for label, peer in stage.peers.items():
            peer.read_all(LATE_S)
            for channel, lines in peer.inbox.items():
                while lines:
                    note(f"{label}{channel} < {lines.popleft()}")
            if peer.ended and label not in ended:
                ended.append(label)
                note(f"{label}0 < end")
    for peer in stage.peers.values():
        peer.finish()
