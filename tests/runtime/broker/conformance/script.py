"""AMQP scripts: lines that are sent, and the literal lines that must come back.

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
``connect A`` opens the socket only, ``drop A`` cuts the connection (the next use makes a new one),
``raw`` sends bytes, ``$vhost`` is the virtual host's name.
``operate DEED ...`` is what an operator does: ``close_connection A REASON``, ``delete_queue Q``,
``purge_queue Q``, ``set_alarm memory``, ``clear_alarm memory``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"([A-Z])(\d+) ([<>]) (.*)")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Scenario:
    file: Path
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Spoken:
    """One line that a peer says (``>``) or hears (``<``) on a channel."""

    peer: str
    channel: int
    is_sent: bool
    text: str

    @property
    def method(self) -> str:
        return self.text.partition(" ")[0]


def spoken(line: str) -> Spoken | None:
    """The line, read; None if nobody speaks in it."""
    match = _LINE.match(line)
    if match is None:
        return None
    peer, channel, direction, text = match.groups()
    return Spoken(peer, int(channel), direction == ">", text)


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


def fields(text: str) -> dict[str, object]:
    """The fields of a method: ``name=JSON name=JSON``."""
    found, position = dict[str, object](), 0
    while position < len(text):
        name, _, _ = text[position:].partition("=")
        value, position = _DECODER.raw_decode(text, position + len(name) + 1)
        found[name.strip()] = value
        position += 1
    return found
