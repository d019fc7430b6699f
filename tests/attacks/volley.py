"""Sends requests, one a connection, from ever other addresses, and looks at what comes back."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from tests.attacks.corpus import Shot
from tests.attacks.target import Target

AT_ONCE = 32
PATIENCE_S = 10.0
GLANCE_S = 0.05
SECRETS = (b"4242424242424242", b"4242 4242 4242 4242", b"4242-4242-4242-4242")
_STATUS = re.compile(rb"(?:^|\r\n\r\n|\})HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_LENGTHS = re.compile(rb"\ncontent-length:[ \t]*(\d{1,9})", re.IGNORECASE)
_CHUNKED = re.compile(rb"\ntransfer-encoding:", re.IGNORECASE)
_END = re.compile(rb"\n\r?\n")


class Findings:
    """What came back. ``breaches`` is what must not have; ``statuses`` counts first answers."""

    def __init__(self) -> None:
        self.sent = 0
        self.statuses: Counter[int] = Counter()
        self.breaches: list[str] = []

    @property
    def malformed(self) -> int:
        """How many were refused, or not even answered: those that were wrong."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 400)

    def note(self, shot: Shot, received: bytes) -> None:
        """Judge one exchange."""
        self.sent += 1
        statuses = [int(found) for found in _STATUS.findall(received)]
        self.statuses[statuses[0] if statuses else 0] += 1
        wrong = [status for status in statuses if status >= 500 or status < 100]
        if wrong or (received and not statuses):
            self._breach("answered", shot, received)
        if (
            any(status >= 400 for status in statuses)
            and b"application/problem+json" not in received
        ):
            self._breach("no problem", shot, received)
        if b"/v1/test-cards" not in shot.data and any(secret in received for secret in SECRETS):
            self._breach("a card number came back", shot, received)

    def _breach(self, what: str, shot: Shot, received: bytes) -> None:
        sent = f"{shot.service}: {shot.data[:600]!r} ({len(shot.data)} bytes)"
        self.breaches.append(f"{what}\n  sent to {sent}\n  received {received[:800]!r}")


async def fire(target: Target, shots: Iterator[Shot], findings: Findings, seed: int) -> None:
    """Send all of them."""

    async def worker(number: int) -> None:
        rng = random.Random(f"addresses/{seed}/{number}")
        for shot in shots:
            await _one(target, shot, findings, rng)

    async with asyncio.TaskGroup() as tasks:
        for number in range(AT_ONCE):
            tasks.create_task(worker(number))


async def _one(target: Target, shot: Shot, findings: Findings, rng: random.Random) -> None:
    port = target.ports[shot.service]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(stranger(rng), 0))
    received = b""
    with suppress(OSError, TimeoutError):
        writer.write(shot.data)
        async with asyncio.timeout(PATIENCE_S if _is_whole(shot.data) else GLANCE_S):
            while not _answered(received):
                data = await reader.read(65536)
                if not data:
                    break
                received += data
    writer.transport.abort()
    findings.note(shot, received)


def stranger(rng: random.Random) -> str:
    """Return an address of this machine that hardly anybody else has (all of 127/8 is here)."""
    return f"127.{rng.randrange(3, 250)}.{rng.randrange(250)}.{rng.randrange(1, 250)}"


def _is_whole(data: bytes) -> bool:
    """Whether these bytes are all of a request, as far as one can tell: then there is an answer."""
    end = _END.search(data)
    if end is None:
        return False
    head, body = data[: end.end()], data[end.end() :]
    lengths = [int(length) for length in _LENGTHS.findall(head)]
    return len(body) >= max(lengths, default=0) and (
        not _CHUNKED.search(head) or body.endswith(b"0\r\n\r\n")
    )


def _answered(received: bytes) -> bool:
    """Whether one whole answer is there, or the beginning of a stream."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return len(body) >= int(length[1]) if length else bool(body) or b" 304 " in head[:16]
