"""An application that says what it was asked, for tests of the server in front of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from runtime.errors import StoreBroken

LARGE = b"x" * 100_000


class App:
    """Says what it was asked; refuses all posts without reading them.

    ``/large`` and ``/ticks`` repeat themselves until the client goes; ``/hang`` waits; ``/broken``
    ends as where a store is broken.
    """

    def __init__(self) -> None:
        self.in_work = 0
        self.hanging = anyio.Event()

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert scope["type"] == "http", "there is nothing else"
        self.in_work += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.in_work -= 1

    async def _answer(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if scope["path"] == "/hang":
            await self.hanging.wait()
        if scope["path"] == "/broken":
            raise StoreBroken("the outcome is unknown")
        status = 413 if scope["method"] == "POST" else 200
        body = f"{scope['method']} {scope['path']} HTTP/{scope['http_version']}".encode()
        headers = [(b"content-length", b"%d" % len(body))]
        if scope["path"] in ("/large", "/ticks"):
            tick_s = 0.02 if scope["path"] == "/ticks" else 0.0
            await self._answer_at_length(receive, send, tick_s)
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer_at_length(
        self,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        tick_s: float,
    ) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with anyio.create_task_group() as group:

            async def repeat() -> None:
                part = b"tick" if tick_s else LARGE
                while True:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    await anyio.sleep(tick_s)

            group.start_soon(repeat)
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()
