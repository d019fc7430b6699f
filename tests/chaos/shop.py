"""Where customers' requests go: sent, repeated under their key, and written down.

A request whose reply is lost is repeated until there is an answer. Some clients walk away instead,
half of whom come back in the end, and some repeat what was answered already.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec

from sim.history import Answered, Kind, Sent
from tests.chaos.client_log import ClientLog

REQUEST_S_MAX = 10.0
PATIENCE_S = 120.0
PAUSE_S_MAX = 0.5


class Told(msgspec.Struct, frozen=True):
    """A definite answer."""

    status: int
    body: Any

    @property
    def accepted(self) -> bool:
        """Whether the command was carried out."""
        return self.status < 300


class _Ask(msgspec.Struct):
    """One command of one client, and how often it was sent."""

    name: str
    kind: Kind
    request: tuple[str, str]
    body: Mapping[str, Any]
    mark: str
    order_id: str
    bearer: str
    attempts: int = 0

    @property
    def keyed(self) -> bool:
        """Whether it has an idempotency key; a shipment's report needs none."""
        return self.kind != "ship"

    def headers(self) -> dict[str, str]:
        """Return its headers, the same each time."""
        headers = {"Idempotency-Key": f"key-{self.name}"} if self.keyed else {}
        return {**headers, "Authorization": f"Bearer {self.bearer}"} if self.bearer else headers


class Shop:
    """Where requests go: sends commands, repeats them, and keeps the client log.

    ``unanswered``: commands whose clients came back in the end and were not told.
    """

    def __init__(self, http: httpx.AsyncClient, log: ClientLog, operator: str) -> None:
        self._http = http
        self._log = log
        self._operator = operator
        self._left_behind: list[_Ask] = []
        self._waiting: list[_Ask] = []
        self.in_flight = 0
        self.accepted_orders = 0
        self.cut_off = 0
        self.unanswered: list[str] = []

    async def command(
        self,
        name: str,
        kind: Kind,
        request: tuple[str, str],
        body: Mapping[str, Any],
        *,
        mark: str,
        order_id: str = "",
        token: str = "",
        rng: random.Random,
    ) -> Told | None:
        """Send until there is an answer; None where the client walked away without one."""
        bearer = self._operator if kind == "ship" else token
        ask = _Ask(name, kind, request, body, mark, order_id, bearer)
        walks_away, asks_again = rng.random() < 0.25, rng.random() < 0.1
        told = await self._insist(ask, rng, attempts_max=1 if walks_away else None)
        if told is None:
            (self._left_behind if walks_away else self._waiting).append(ask)
        elif told is not None and asks_again:
            told = await self._insist(ask, rng)
        return told

    async def come_back(self) -> None:
        """Have those who want to know, and half of those who walked away, ask once more.

        Everything is up again: each of them must be told.
        """
        keyed = [ask for ask in self._left_behind if ask.keyed]
        for ask in (*self._waiting, *keyed[1::2]):
            if await self._insist(ask, random.Random(ask.name)) is None:
                self.unanswered.append(ask.name)

    async def _insist(
        self, ask: "_Ask", rng: random.Random, attempts_max: int | None = None
    ) -> Told | None:
        give_up = anyio.current_time() + PATIENCE_S
        while anyio.current_time() < give_up:
            told = await self._send(ask)
            if 200 <= told.status < 500:
                return told
            if ask.attempts == attempts_max:
                return None
            await anyio.sleep(rng.uniform(0.02, min(0.1 * ask.attempts, PAUSE_S_MAX)))
        return None

    async def _send(self, ask: "_Ask") -> Told:
        ask.attempts += 1
        attempt = ask.attempts
        self._log.write(
            Sent(ask.name, attempt, ask.kind, ask.order_id, ask.mark, ask.keyed, ask.body)
        )
        self.in_flight += 1
        try:
            answer = await self._http.request(
                *ask.request, json=dict(ask.body), headers=ask.headers()
            )
            told = Told(answer.status_code, answer.json())
        except (httpx.TransportError, ValueError):
            self.cut_off += 1
            told = Told(0, None)
        finally:
            self.in_flight -= 1
        self._log.write(Answered(ask.name, attempt, told.status, told.body))
        return told

    async def status(self, order_id: str, token: str) -> str:
        """Return the order's status, empty while nobody answers."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = await self._http.get(f"/v1/orders/{order_id}", headers=headers)
            return str(answer.json().get("status", "")) if answer.status_code == 200 else ""
        except (httpx.TransportError, ValueError):
            return ""


def open_client(url: str) -> httpx.AsyncClient:
    """Return an HTTP client whose connections a dying server may cut at any time."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=REQUEST_S_MAX, limits=limits)


def log_in(folder: Path) -> str:
    """Return the operator's token, as the system has written it."""
    return (folder / "secrets" / "operator-token").read_text().strip()
