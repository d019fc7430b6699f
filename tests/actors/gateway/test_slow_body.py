"""A request whose body does not come is answered, and its connection ends."""

from pathlib import Path

import anyio
import msgspec

from tests.harness.raw_http import HOST, until_closed
from tests.harness.system import live_system


async def test_a_body_that_does_not_come_in_the_time_that_is_set_is_not_waited_for(
    tmp_path: Path,
) -> None:
    async with live_system(tmp_path, http={"request_timeout_s": 0.05}) as system:
        head = b"POST /v1/orders HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
        port = system.running.system.servers["gateway"].port
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head + b"Content-Length: 100\r\n\r\n{")
            answer = await until_closed(stream)
        assert answer.startswith(b"HTTP/1.1 408 ")
        problem = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
        assert problem["type"].endswith("/problems/request-timeout")
        await system.place()
