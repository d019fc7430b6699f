"""A customer who has the order's page open: a stream of its events, asked for again when it ends.

He comes back a second later and says which version he has seen last, as a browser does; some
visits he ends himself. What each of them told him goes into the history of the run.
"""

import asyncio
from typing import Any

import msgspec

from sim.client import NoAnswer
from sim.engine import Engine
from sim.event_stream import EventStream
from sim.history import Told, Watching

RELOADS = 0.3
STAYS_S_MAX = 8.0


class Watcher:
    """Watches one order until it is complete, or until told to `leave`.

    ``shop`` is its host and port. ``patience_s``: a stream that is silent for longer is dead.
    """

    def __init__(
        self, engine: Engine, shop: tuple[str, int], seen: Watching, token: str, patience_s: float
    ) -> None:
        self.seen = seen
        self._engine = engine
        self._shop = shop
        self._token = token
        self._patience_s = patience_s
        self._random = engine.seed.stream("watcher", seen.name)
        self._stream: EventStream | None = None
        self._gone = False

    async def run(self) -> None:
        """Watch."""
        while not (self._gone or self.seen.complete):
            try:
                await self._visit()
            except NoAnswer:
                self._note("no answer")
            await asyncio.sleep(self._random.uniform(1.0, 1.5))

    def leave(self) -> None:
        """Close the page."""
        self._gone = True
        if self._stream is not None:
            self._stream.close()

    async def _visit(self) -> None:
        host, port = self._shop
        seen = self.seen
        lines = (
            f"GET /v1/orders/{seen.order_id}/events/stream HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {self._token}",
            *([f"Last-Event-ID: {seen.version}"] if seen.version else []),
        )
        request = "\r\n".join((*lines, "", "")).encode()
        stream = await EventStream.open(host, port, request, self._patience_s)
        if self._gone:  # meanwhile
            stream.close()
            return
        self._stream = stream
        self._note("opened", version=seen.version, status=stream.status)
        reload = None
        if self._random.random() < RELOADS:
            stays_s = self._random.uniform(0, STAYS_S_MAX)
            reload = self._engine.loop.call_later(stays_s, stream.close)
        try:
            while (frame := await stream.frame(self._patience_s)) is not None:
                self._read(frame)
        finally:
            self._stream = None
            stream.close()
            self._note("left")
            if reload is not None:
                reload.cancel()

    def _read(self, frame: dict[str, str]) -> None:
        match frame.get("event", ""):
            case "":
                return  # it is alive
            case "order.event":
                event: Any = msgspec.json.decode(frame["data"])
                what = {"event_id": event["id"], "type": event["type"], "data": event["data"]}
                self._note("event", version=int(frame["id"]), **what)
            case other:
                self._note(other)

    def _note(self, what: str, **facts: Any) -> None:
        self.seen.told.append(told := Told(self._engine.now, what, **facts))
        self._engine.note("watch", self.seen.name, what, told.version or told.status)
