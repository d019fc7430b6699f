"""Plays AMQP scripts: lines that are sent, and the literal lines that must come back.

    == title of the scenario
    # a comment
    A1 > queue.declare queue="q"
    A1 < queue.declare-ok queue="q" message_count=0 consumer_count=0
    sleep 0.2

``A1`` is connection A, channel 1; both are opened by their first use. Values are JSON. A received
frame is written with all its fields, so that codes, texts and flags are part of the script. Frames
are compared in order per channel; order *between* channels is free, as it is in RabbitMQ.
``A1 < end`` means that the server closed the socket. Generated names (``amq.gen-...``) are replaced
by ``amq.gen#1``, ``amq.gen#2`` in both directions, the virtual host by ``/``, times by ``TIME``.
``connect A`` opens the socket only, ``raw`` sends bytes, ``$vhost`` is the virtual host's name.
"""

import json
import re
import struct
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader, ProtocolHeader
from pamqp.heartbeat import Heartbeat

PATIENCE_S = 10.0
_LINE = re.compile(r"([A-Z])(\d+) ([<>]) (.*)")
_GENERATED = re.compile(r"amq\.(?:gen|ctag)-[\w-]+")
_DECODER = json.JSONDecoder()
# A reserved field, and what a broker says about itself.
_MEANINGLESS = ("cluster_id", "server_properties")
_CARRY_CONTENT = (commands.Basic.Deliver, commands.Basic.GetOk, commands.Basic.Return)


class Wire(Protocol):
    """One byte stream to a broker."""

    def send(self, data: bytes) -> None: ...

    def receive(self, patience_s: float) -> bytes:
        """Return some bytes, b"" at the end of the stream; TimeoutError if nothing comes."""
        ...


class Target(Protocol):
    """A broker under test."""

    vhost: str
    user: str
    password: str

    def connect(self) -> Wire: ...

    def sleep(self, seconds: float) -> None: ...

    def await_stillness(self) -> None:
        """Wait until the broker has done all that was sent to it, timers aside."""
        ...


@dataclass(frozen=True)
class Scenario:
    file: Path
    title: str
    lines: tuple[str, ...]


def load(folder: Path) -> list[Scenario]:
    """All scenarios of the folder's ``.amqp`` files."""
    return [found for file in sorted(folder.glob("*.amqp")) for found in parse(file)]


def parse(file: Path) -> Iterator[Scenario]:
    """Split one file into scenarios."""
    title, lines = "", list[str]()
    for line in file.read_text().splitlines():
        if line.startswith("== "):
            if title:
                yield Scenario(file, title, tuple(lines))
            title, lines = line[3:], []
        else:
            lines.append(line)
    yield Scenario(file, title, tuple(lines))


def _method_name(cls: type[Frame]) -> str:
    group, method = cls.name.split(".")
    return f"{group.lower()}." + re.sub(r"(?<!^)([A-Z])", r"-\1", method).lower()


METHODS = {_method_name(cls): cls for cls in commands.INDEX_MAPPING.values()}


def _fields(text: str) -> dict[str, object]:
    found, position = dict[str, object](), 0
    while position < len(text):
        name, _, _ = text[position:].partition("=")
        value, position = _DECODER.raw_decode(text, position + len(name) + 1)
        found[name.strip()] = value
        position += 1
    return found


class Peer:
    """The client end of one connection."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.wire = target.connect()
        self.inbox: dict[int, deque[str]] = defaultdict(deque)
        self.channels = set[int]()
        self.ended = False
        self._buffer = b""
        self._content: dict[int, tuple[str, dict[str, object], bytearray, int]] = {}
        self.names: dict[str, str] = {}

    def open(self) -> None:
        """Log in and open the virtual host."""
        self.wire.send(ProtocolHeader().marshal())
        self.expect(0, "connection.start ", prefix=True)
        login = f"\0{self.target.user}\0{self.target.password}"
        capabilities = {"consumer_cancel_notify": True, "basic.nack": True}
        self.send(
            0,
            commands.Connection.StartOk(
                {"capabilities": {**capabilities, "authentication_failure_close": True}},
                "PLAIN",
                login,
                "en_US",
            ),
        )
        self.expect(0, "connection.tune ", prefix=True)
        self.send(0, commands.Connection.TuneOk(2047, 131072, 0))
        self.send(0, commands.Connection.Open(self.target.vhost))
        self.expect(0, "connection.open-ok ", prefix=True)

    def send(self, channel: int, method: Frame) -> None:
        self.wire.send(frame.marshal(method, channel))

    def say(self, channel: int, text: str) -> None:
        """Send one scripted line."""
        name, _, rest = text.partition(" ")
        for generated, alias in self.names.items():
            rest = rest.replace(alias, generated)
        rest = rest.replace("$vhost", self.target.vhost)
        if name == "raw":
            self.wire.send(bytes.fromhex(rest))
            return
        if channel and channel not in self.channels:
            self.channels.add(channel)
            if name != "channel.open":
                self.send(channel, commands.Channel.Open())
                self.expect(channel, "channel.open-ok ", prefix=True)
        fields = _fields(rest)
        if name.endswith(".close"):
            fields = {"reply_code": 200, "reply_text": "", "class_id": 0, "method_id": 0, **fields}
        body = str(fields.pop("body", "")).encode()
        properties = fields.pop("properties", {})
        assert isinstance(properties, dict)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # basic.recover-async
            method = METHODS[name](**fields)
        self.send(channel, method)
        if name == "basic.publish":
            header = ContentHeader(0, len(body), commands.Basic.Properties(**properties))
            self.wire.send(frame.marshal(header, channel))
            if body:
                self.wire.send(frame.marshal(ContentBody(body), channel))

    def expect(self, channel: int, text: str, *, prefix: bool = False) -> None:
        """Take the next frame of the channel and compare it with the script."""
        while not self.inbox[channel] and not self.ended:
            self.read(PATIENCE_S)
        got = self.inbox[channel].popleft() if self.inbox[channel] else "end"
        assert got.startswith(text) if prefix else got == text, (
            f"\nexpected: {text}\n     got: {got}\nthen: {list(self.inbox[channel])}"
        )

    def read(self, patience_s: float) -> None:
        """Read once and sort what came into the channels' inboxes."""
        data = self.wire.receive(patience_s)
        if not data:
            self.ended = True
        self._buffer += data
        while len(self._buffer) >= 7:
            size = struct.unpack_from(">I", self._buffer, 3)[0]
            if len(self._buffer) < size + 8:
                break
            _, channel, part = frame.unmarshal(self._buffer[: size + 8])
            self._buffer = self._buffer[size + 8 :]
            self._take(channel, part)

    def _take(self, channel: int, part: object) -> None:
        if isinstance(part, Heartbeat):
            return
        if isinstance(part, Frame):
            fields = {name: value for name, value in part if name not in _MEANINGLESS}
            if isinstance(part, commands.Connection.Start):
                # RabbitMQ lists them in the order of a hash, another one with each node.
                fields["mechanisms"] = " ".join(sorted(part.mechanisms.split()))
            if isinstance(part, _CARRY_CONTENT):
                self._content[channel] = (_method_name(type(part)), fields, bytearray(), 0)
            else:
                self._keep(channel, _method_name(type(part)), fields)
            return
        name, fields, body, size = self._content[channel]
        if isinstance(part, ContentHeader):
            size = part.body_size
            fields["properties"] = {
                name: value for name, value in part.properties if value not in (None, "")
            }
        elif isinstance(part, ContentBody):
            body += part.value
        self._content[channel] = (name, fields, body, size)
        if len(body) == size:
            fields["body"] = body.decode(errors="replace")
            self._keep(channel, name, fields)

    def _keep(self, channel: int, name: str, fields: dict[str, object]) -> None:
        text = " ".join(f"{key}={_json(value)}" for key, value in fields.items())
        text = text.replace(f"vhost '{self.target.vhost}'", "vhost '/'")
        text = text.replace(f"vhost {self.target.vhost} ", "vhost / ")
        text = _GENERATED.sub(self._alias, text)
        self.inbox[channel].append(f"{name} {text}")

    def _alias(self, match: re.Match[str]) -> str:
        generated = match.group()
        kind = generated.partition("-")[0]
        return self.names.setdefault(generated, f"{kind}#{len(self.names) + 1}")

    def finish(self) -> None:
        """Close in good order: everything that is still to come must have been in the script."""
        if not self.ended:
            self.send(0, commands.Connection.Close(0, "", 0, 0))
            while not self.ended and "connection.close-ok " not in self.inbox[0]:
                self.read(PATIENCE_S)
        rest = {number: list(lines) for number, lines in self.inbox.items() if lines}
        rest[0] = [line for line in rest.get(0, []) if line != "connection.close-ok "]
        assert not any(rest.values()), f"not in the script: {rest}"


def _json(value: object) -> str:
    def default(other: object) -> object:
        if isinstance(other, datetime):
            return "TIME"
        if isinstance(other, bytes | bytearray):
            return other.decode(errors="replace")
        return str(other)

    return json.dumps(value, default=default, sort_keys=True)


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


def play(scenario: Scenario, target: Target) -> None:
    """Play the scenario; AssertionError names the first line that differs."""
    stage = Stage(target)
    for number, line in enumerate(scenario.lines, 1):
        try:
            _play_line(stage, line)
        except (AssertionError, TimeoutError) as error:
            heading = f"{scenario.file.name}: {scenario.title}, line {number}: {line}"
            raise AssertionError(f"{heading}\n{error!r} {error}") from error
    target.await_stillness()
    for peer in stage.peers.values():
        peer.finish()


def _play_line(stage: Stage, line: str) -> None:
    if line.startswith("sleep "):
        stage.target.sleep(float(line.partition(" ")[2]))
    elif line.startswith("connect "):
        stage.peer(line.partition(" ")[2], opened=False)
    elif match := _LINE.match(line):
        label, channel, direction, text = match.groups()
        peer = stage.peer(label)
        if direction == ">":
            # RabbitMQ's processes race with each other, scripts don't: one line after the other.
            stage.target.await_stillness()
            peer.say(int(channel), text)
        else:
            peer.expect(int(channel), text)


def record(scenario: Scenario, target: Target, note: Callable[[str], None]) -> None:
    """Play only what is sent, and note every line together with what came back."""
    stage, ended = Stage(target), list[str]()
    for line in scenario.lines:
        if (match := _LINE.match(line)) and match.group(3) == "<":
            continue
        note(line)
        if line.startswith("#") or not line:
            continue
        _play_line(stage, line)
        target.await_stillness()
        for label, peer in stage.peers.items():
            _settle(peer)
            for channel, lines in peer.inbox.items():
                while lines:
                    note(f"{label}{channel} < {lines.popleft()}")
            if peer.ended and label not in ended:
                ended.append(label)
                note(f"{label}0 < end")
    for peer in stage.peers.values():
        peer.finish()


def _settle(peer: Peer) -> None:
    try:
        while not peer.ended:
            peer.read(0.2)
    except TimeoutError:
        return
