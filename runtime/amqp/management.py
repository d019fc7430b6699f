"""RabbitMQ's management API: figures that AMQP itself has no word for.

Its law: it only looks, and never stands in anybody's way. One question is out at a time, however
many want to know; each has a limit, and after one that failed there is a pause. What comes back is
checked and bounded, as from any stranger. The broker collects its figures every 5 s by default, so
an answer is good for a moment.
"""

from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

import anyio
import httpx
import msgspec
from yarl import URL

from runtime.amqp.address import Address
from runtime.amqp.figures import BrokerFigures, QueueFigures
from runtime.errors import ConfigurationError
from runtime.host import Clock

ANSWER_S_MAX = 2.0
ANSWER_BYTES_MAX = 4 * 2**20
KEPT_S = 2.0
PAUSE_S = 5.0
RESOURCES = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
_COLUMNS = (
    *("name", "messages_unacknowledged", "head_message_timestamp"),
    *(f"message_stats.{name}_details.rate" for name in ("publish", "deliver_get", "ack")),
)
_EXAMPLE = "write it like http://host:15672, or http://user:password@host:15672"

T = TypeVar("T")


class Endpoint(msgspec.Struct, frozen=True):
    """Where the management API is, and who we are there. Its text form hides the password."""

    url: URL

    @classmethod
    def parse(cls, text: str, broker: Address) -> "Endpoint":
        """Read ``http[s]://[user:password@]host[:port][/prefix]``; raises `ConfigurationError`.

        Without a user it is the broker's own.
        """
        try:
            url = URL(text)
            port = url.port
        except ValueError:
            # The library's error quotes what it could not read: that may be the password.
            raise ConfigurationError("broker.management_url is not a URL", hint=_EXAMPLE) from None
        if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
            raise ConfigurationError(
                "broker.management_url must be http:// or https:// and a host, without a query",
                hint=_EXAMPLE,
            )
        if (url.user is None) != (url.password is None):
            raise ConfigurationError(
                "broker.management_url names a user or a password: give both, or none",
                hint=_EXAMPLE,
            )
        if url.user is None:
            url = url.with_user(broker.url.user).with_password(broker.url.password)
        return cls(url.with_port(port or (443 if url.scheme == "https" else 80)))

    @property
    def base(self) -> str:
        """The URL without the account."""
        return str(self.url.with_user(None)).rstrip("/")

    @property
    def account(self) -> tuple[str, str]:
        """User and password."""
        return self.url.user or "", self.url.password or ""

    def __str__(self) -> str:
        return str(self.url.with_password("***"))

    def __repr__(self) -> str:
        return f"Endpoint({self})"


class Management:
    """Asks about one virtual host. ``http`` has the endpoint's address and belongs to the process.

    The account needs RabbitMQ's tag ``management`` for the queues and ``monitoring`` for alarms.
    """

    def __init__(
        self, http: httpx.AsyncClient, account: tuple[str, str], vhost: str, clock: Clock
    ) -> None:
        self._http = http
        self._auth = httpx.BasicAuth(*account)
        self._queues_path = f"/api/queues/{quote(vhost, safe='')}"
        self._clock = clock
        self._asking = anyio.Lock()
        self._latest = BrokerFigures()
        self._good_until_s = float("-inf")
        self._lost_at_s: float | None = None

    async def figures(self) -> BrokerFigures:
        """Return what the broker told last, at most `KEPT_S` ago; while it is away, why."""
        async with self._asking:  # whoever waits here is told what the one before was told
            if self._clock.monotonic() >= self._good_until_s:
                self._latest = await self._ask()
                kept_s = PAUSE_S if self._latest.trouble else KEPT_S
                self._good_until_s = self._clock.monotonic() + kept_s
        return self._latest

    async def _ask(self) -> BrokerFigures:
        try:
            with anyio.fail_after(ANSWER_S_MAX):
                query = {"columns": ",".join(_COLUMNS)}
                rows = await self._get(self._queues_path, query, list[_Queue])
                alarms = await self._alarms()
        except _Unusable as error:
            return self._away(str(error))
        except TimeoutError:
            return self._away(f"nothing within {ANSWER_S_MAX:g} s")
        except httpx.HTTPError as error:
            return self._away(type(error).__name__)
        self._lost_at_s = None
        now_s = self._clock.wall()
        return BrokerFigures(queues={row.name: row.figures(now_s) for row in rows}, alarms=alarms)

    async def _alarms(self) -> list[str] | None:
        columns = {"columns": ",".join(("name", *RESOURCES))}
        try:
            nodes = await self._get("/api/nodes", columns, list[_Node])
        except _Refused:
            return None
        return [
            f"{RESOURCES[field]} of {node.name}"
            for node in nodes
            for field in RESOURCES
            if getattr(node, field)
        ]

    async def _get(self, path: str, query: dict[str, str], kind: type[T]) -> T:
        request = self._http.build_request("GET", path, params=query, timeout=ANSWER_S_MAX)
        response = await self._http.send(request, auth=self._auth, stream=True)
        try:
            if response.status_code in (401, 403):
                raise _Refused(f"it refuses our account ({response.status_code})")
            if response.status_code != 200:
                raise _Unusable(f"it answered {response.status_code}")
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    raise _Unusable("its answer is too long")
        finally:
            await response.aclose()
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Unusable("its answer cannot be read") from None

    def _away(self, reason: str) -> BrokerFigures:
        if self._lost_at_s is None:
            self._lost_at_s = self._clock.wall()
        since = datetime.fromtimestamp(self._lost_at_s, UTC).strftime("%H:%M:%S")
        return BrokerFigures(
            trouble="not available: the management API does not answer as it should "
            f"since {since} UTC ({reason})"
        )


class _Unusable(Exception):
    """It answered, but not with what was asked for."""


class _Refused(_Unusable):
    """The account may not know."""


class _Rate(msgspec.Struct, frozen=True):
    rate: float | None = None


class _Rates(msgspec.Struct, frozen=True):
    publish_details: _Rate = _Rate()
    deliver_get_details: _Rate = _Rate()
    ack_details: _Rate = _Rate()


class _Queue(msgspec.Struct, frozen=True):
    name: str
    messages_unacknowledged: int | None = None
    head_message_timestamp: int | str | None = None  # "" in some versions where there is none
    message_stats: _Rates = _Rates()

    def figures(self, now_s: float) -> QueueFigures:
        stats, head_s = self.message_stats, self.head_message_timestamp
        return QueueFigures(
            unacked=self.messages_unacknowledged,
            in_per_s=_rounded(stats.publish_details.rate),
            out_per_s=_rounded(stats.deliver_get_details.rate),
            acked_per_s=_rounded(stats.ack_details.rate),
            oldest_age_s=age_s(head_s, now_s) if isinstance(head_s, int) else None,
        )


class _Node(msgspec.Struct, frozen=True):
    name: str
    mem_alarm: bool = False
    disk_free_alarm: bool = False


def age_s(timestamp: int, now_s: float) -> float:
    """Return how old a message of this ``timestamp`` (whole seconds of Unix time) is."""
    return round(max(0.0, now_s - timestamp), 1)


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 2)
