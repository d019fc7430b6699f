"""Bytes to a server and back, as no client library would send them."""

from collections.abc import Mapping

import anyio
import anyio.abc

HOST = b"Host: shop.example\r\n"


async def ask(port: int, request: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Send bytes, read until the server closes or the body is there: status, headers, body.

    The status is 0 where nothing came back within 5 s.
    """
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        received = await until_answered(stream)
    if not received:
        return 0, {}, b""
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(lines[0].split()[1]), headers, body


async def until_answered(stream: anyio.abc.ByteReceiveStream, within_s: float = 5.0) -> bytes:
    """Return what comes until there is a whole answer, or the server closes."""
    received = b""
    with anyio.move_on_after(within_s):
        while not _whole(received):
            try:
                received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                break
    return received


async def until_closed(stream: anyio.abc.ByteReceiveStream, within_s: float = 20.0) -> bytes:
    """Return what comes until the server closes; fail the test if it does not in time."""
    received = b""
    with anyio.fail_after(within_s):
        while True:
            try:
                received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return received


def _whole(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    return bool(lengths) and len(body) >= lengths[0]
