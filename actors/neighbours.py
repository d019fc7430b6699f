"""The services that this process reaches over HTTP, because other processes run them.

A neighbour that is away stops nobody: whoever asks it is told `Unavailable` and asks again. Whether
it answers is asked again and again, so that readiness tells it without a customer having to find
out: a few seconds after it has answered anything (each look is a request, and there are many pairs
of neighbours), every second while it does not, because then somebody waits.
"""

import anyio
import httpx

from actors.batching import BatchingClient
from actors.service_client import ServiceClient
from actors.settings import Notification, OrderEventsHttp, Shipping, url_at
from runtime.child import ChildContext, ChildSpec
from runtime.errors import ConfigurationError
from runtime.host import Clock
from runtime.signals import EventTable
from runtime.telemetry import Telemetry

LOOK_S = 5.0
AWAY_LOOK_S = 1.0
LOOK_S_MAX = 2.0
EVENTS: EventTable = {
    "neighbour.lost": ("service", "error"),
    "neighbour.back": ("service", "down_s"),
}


class Neighbour:
    """A service somewhere else. ``http`` has its address, and belongs to the process.

    ``together`` is for requests to a service that takes them in batches.
    """

    def __init__(self, name: str, http: ServiceClient, clock: Clock, telemetry: Telemetry) -> None:
        self.name = name
        self.http = http
        self.together = BatchingClient(http)
        self._clock = clock
        self._telemetry = telemetry
        self._answers: bool | None = None
        self._since = self._heard_at = clock.monotonic()
        http.on_success = self._heard

    def child(self) -> ChildSpec:
        """Return the child that keeps looking whether it answers."""
        return ChildSpec(f"watch-{self.name}", self.run)

    def check(self) -> str:
        """Return ``ok``, or since when it is away."""
        away_s = self._clock.monotonic() - self._since
        return "ok" if self._answers else f"unreachable {away_s:.0f}s"

    async def run(self, context: ChildContext) -> None:
        """Look until told to stop; an answer that is still awaited then is not waited for."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_looking)
            tasks.start_soon(self.together.run)
            context.started()
            await context.stopping.wait()
            tasks.cancel_scope.cancel()

    async def _keep_looking(self) -> None:
        while True:
            if not self._answers or not self._fresh_s():
                await self._look()
            await anyio.sleep(self._fresh_s() if self._answers else AWAY_LOOK_S)

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()

    def _fresh_s(self) -> float:
        """Return how long a look would tell no more than what it has answered last."""
        return max(0.0, self._heard_at + LOOK_S - self._clock.monotonic())

    async def _look(self) -> None:
        try:
            answer = await self.http.request("GET", "/healthz", timeout_s=LOOK_S_MAX)
            error = "" if answer.is_success else f"it answered {answer.status_code}"
        except httpx.TransportError as failure:
            error = type(failure).__name__
        if self._answers is not (answers := not error):
            self._became(answers, error)

    def _became(self, answers: bool, error: str) -> None:
        now = self._clock.monotonic()
        down_s = round(now - self._since, 3)
        self._answers, self._since = answers, now
        if answers:
            self._telemetry.event("neighbour.back", service=self.name, down_s=down_s)
        else:
            self._telemetry.event("neighbour.lost", "warning", service=self.name, error=error)


def neighbour_url(key: str, row: OrderEventsHttp | Shipping | Notification) -> str:
    """Return the service's ``<key>.url``, or what follows from its bind and port."""
    if row.url:
        return row.url
    if row.port == 0:
        raise ConfigurationError(
            f"{key}.port is 0, a free port, and so nobody knows where {key} is",
            hint=f"set {key}.url, or {key}.port to the port it listens on",
        )
    return url_at(row.bind, row.port)
