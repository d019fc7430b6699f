import asyncio

from bench.http_client import Client
from tests.harness.waiting import until


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its own body; close after the one that says so."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            break
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        body = await reader.readexactly(length)
        told = b"connection: close\r\n" if body == b"told" else b""
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n%b\r\n" % (length, told))
        writer.write(body)
        if body in (b"last", b"told"):
            break
    writer.close()
    await writer.wait_closed()


async def test_a_connection_is_used_again_and_replaced_once_the_server_closed_it() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    client = Client("127.0.0.1", server.sockets[0].getsockname()[1])
    for body in (b"one", b"last", b"another"):
        answer = await client.post("/", body)
        assert (answer.status, answer.body) == (201, body)
        if body == b"last":
            await until(lambda: client._idle[0][0].at_eof())
    await client.close()
    server.close()


async def test_a_connection_is_not_used_again_once_the_server_said_that_it_will_close_it() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    client = Client("127.0.0.1", server.sockets[0].getsockname()[1])
    for body in (b"told", b"told", b"one"):
        assert (await client.post("/", body)).body == body
    await client.close()
    server.close()
