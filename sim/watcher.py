"""A customer who has the order's page open: a stream of its events, asked for again when it ends.

He comes back a second later and says which version he has seen last, as a browser does; now and
then he reloads the page at once. What each visit told him goes into the history of the run.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from sim.client import NoAnswer
from sim.event_stream import EventStream
from sim.history import Told, Watching

if TYPE_CHECKING:
    from sim.customers import Shop

RELOADS = 0.3
STAYS_S_MAX = 8.0


class Watcher:
    """Watches one order until it is complete, or until told to `leave`.

    ``patience_s``: a stream that is silent for longer is dead.
    """

    def __init__(
        self, shop: "Shop", name: str, order_id: str, token: str, patience_s: float
    ) -> None:
        self.seen = Watching(name, order_id)
        self._shop = shop
        self._token = token
        self._patience_s = patience_s
        self._random = shop.engine.seed.stream("watcher", name)
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
        shop, seen = self._shop, self.seen
        lines = (
            f"GET /v1/orders/{seen.order_id}/events/stream HTTP/1.1",
            f"Host: {shop.host}",
            f"Authorization: Bearer {self._token}",
            *([f"Last-Event-ID: {seen.version}"] if seen.version else []),
        )
        request = "\r\n".join((*lines, "", "")).encode()
        stream = await EventStream.open(shop.host, shop.port, request, self._patience_s)
        self._stream = stream
        self._note("opened", version=seen.version, status=stream.status)
        reload = None
        if self._random.random() < RELOADS:
            stays_s = self._random.uniform(0, STAYS_S_MAX)
            reload = shop.engine.loop.call_later(stays_s, stream.close)
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
                self._note("event", int(frame["id"]), event["id"], event["type"])
            case other:
                self._note(other)

    def _note(
        self, what: str, version: int = 0, event_id: str = "", kind: str = "", status: int = 0
    ) -> None:
        engine = self._shop.engine
        self.seen.told.append(Told(engine.now, what, version, event_id, kind, status))
        engine.note("watch", self.seen.name, what, version or status)
