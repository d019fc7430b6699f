"""The client end of one connection, which speaks and hears lines of a script."""

import json
import re
import struct
import warnings
from collections import defaultdict, deque
from datetime import datetime
from typing import Protocol

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.exceptions import UnmarshalingException
from pamqp.header import ContentHeader, ProtocolHeader
from pamqp.heartbeat import Heartbeat

from tests.runtime.broker.conformance import script

PATIENCE_S = 10.0
_GENERATED = re.compile(r"amq\.(?:gen|ctag)-[\w-]+|amq\.rabbitmq\.reply-to\.[\w.+/=-]+")
# A reserved field, and what a broker says about itself.
_MEANINGLESS = ("cluster_id", "server_properties")
CAPABILITIES = ("consumer_cancel_notify", "basic.nack", "connection.blocked",
                "authentication_failure_close")  # fmt: skip
_CARRY_CONTENT = (commands.Basic.Deliver, commands.Basic.GetOk, commands.Basic.Return)


class Wire(Protocol):
    """One byte stream to a broker."""

    def send(self, data: bytes) -> None: ...

    def receive(self, patience_s: float) -> bytes:
        """Return some bytes, b"" at the end of the stream; TimeoutError if nothing comes."""
        ...

    def close(self) -> None:
        """Cut the stream."""
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

    def operate(self, deed: str, wire: Wire | None, argument: str) -> None:
        """Do what an operator does, to the connection behind ``wire`` where it is to one."""
        ...


def _method_name(cls: type[Frame]) -> str:
    group, method = cls.name.split(".")
    return f"{group.lower()}." + re.sub(r"(?<!^)([A-Z])", r"-\1", method).lower()


METHODS = {_method_name(cls): cls for cls in commands.INDEX_MAPPING.values()}


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
        capabilities = dict.fromkeys(CAPABILITIES, True)
        self.send(
            0,
            commands.Connection.StartOk({"capabilities": capabilities}, "PLAIN", login, "en_US"),
        )
        self.expect(0, "connection.tune ", prefix=True)
        self.send(0, commands.Connection.TuneOk(2047, 131072, 0))
        self.send(0, commands.Connection.Open(self.target.vhost))
        self.expect(0, "connection.open-ok ", prefix=True)

    def open_channel(self, channel: int) -> None:
        self.send(channel, commands.Channel.Open())
        self.expect(channel, "channel.open-ok ", prefix=True)

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
                self.open_channel(channel)
        fields = script.fields(rest)
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
            raw, self._buffer = self._buffer[: size + 8], self._buffer[size + 8 :]
            try:
                _, channel, part = frame.unmarshal(raw)
            except UnmarshalingException:  # a method that pamqp does not know
                self.inbox[raw[1] << 8 | raw[2]].append(f"raw {raw.hex()}")
                continue
            self._take(channel, part)

    def read_all(self, patience_s: float) -> None:
        """Read until nothing has come for so long."""
        try:
            while not self.ended:
                self.read(patience_s)
        except TimeoutError:
            return

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
