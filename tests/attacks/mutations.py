"""Requests that nobody thought of: ordinary ones changed at random, and bytes at random. Seeded."""

import random
from collections.abc import Callable, Iterator, Sequence

from actors.services import SERVICES
from tests.attacks.corpus import Shot

_TOKENS = (
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\x00", b"\t", b" ", b":", b",", b";", b'"', b"%"),
    *(b"%00", b"%ff", b"%0d%0a", b"?", b"#", b"//", b"/..", b"\\", b"'", b"<", b"\xff", b"\x80"),
    *(b"\xc3\xa4", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xf0\x9f\x92\xa9", b"\\ud800", b"\\u0000"),
    *(b"[" * 3000, b'{"a":' * 1000, b"9" * 500, b"-1", b"1e999", b"NaN", b"null", b"true"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"HTTP/1.0"),
    *(b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"A" * 3000, b"0\r\n\r\n", b"ffffffff\r\n"),
)

Change = Callable[[random.Random, bytearray], None]


def mutated(rng: random.Random, ordinary: Sequence[Shot]) -> Iterator[Shot]:
    """Yield changed requests for ever."""
    while True:
        shot = rng.choice(ordinary)
        data = bytearray(shot.data)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 8))):
            rng.choice(_CHANGES)(rng, data)
        if rng.random() < 0.1:  # two heads, or a part of one, on one connection
            data += rng.choice(ordinary).data[: rng.randrange(1, 400)]
        yield Shot(shot.service, bytes(data))


def noise(rng: random.Random) -> Iterator[Shot]:
    """Yield bytes at random for ever: any ones, those of text, and behind an ordinary beginning."""
    while True:
        size = rng.choice((1, 10, 100, 1000, 5000))
        kind = rng.randrange(4)
        data = rng.randbytes(size)
        if kind == 1:
            data = bytes(32 + byte % 95 for byte in data)
        elif kind == 2:
            data = b"GET /" + data + b"\r\n\r\n"
        elif kind == 3:
            head = b"POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            data = head + b"Content-Length: %d\r\n\r\n" % size + data
        yield Shot(rng.choice(SERVICES), data)


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_TOKENS)


def _replace(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    data[start:end] = rng.choice(_TOKENS)


def _cut(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    del data[start:end]


def _cut_short(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _repeat(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    data[start:start] = data[start:end] * rng.choice((1, 2, 30))


def _repeat_line(rng: random.Random, data: bytearray) -> None:
    lines = bytes(data).split(b"\r\n")
    at = rng.randrange(len(lines))
    lines.insert(rng.randrange(len(lines)), lines[at])
    data[:] = b"\r\n".join(lines)


def _swap_lines(rng: random.Random, data: bytearray) -> None:
    lines = bytes(data).split(b"\r\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    data[:] = b"\r\n".join(lines)


def _noise(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    data[start:end] = rng.randbytes(end - start)


def _change_number(rng: random.Random, data: bytearray) -> None:
    places = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if places:
        at = rng.choice(places)
        data[at : at + 1] = rng.choice((b"-1", b"0", b"99999999999999999999", b"1.5", b"x"))


def _change_case(rng: random.Random, data: bytearray) -> None:
    start, end = _span(rng, data)
    data[start:end] = bytes(data[start:end]).swapcase()


_CHANGES: tuple[Change, ...] = (
    *(_flip, _insert, _insert, _replace, _cut, _cut_short, _repeat, _repeat_line, _swap_lines),
    *(_noise, _change_number, _change_case),
)


def _span(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 5, 20, 100)))
