"""Token buckets: how often one caller may write, and whose address counts as the caller's."""

import ipaddress
import math
from collections.abc import Callable
from functools import lru_cache

from runtime.errors import Rejection

_CALLERS_MAX = 10_000


class RateLimit:
    """A bucket of ``per_min`` tokens for each caller, refilled evenly; None means no limit.

    Time comes from ``monotonic``. The callers remembered are bounded: the one whose last request
    is longest ago is forgotten first, which gives it a full bucket.
    """

    def __init__(self, per_min: int | None, monotonic: Callable[[], float]) -> None:
        self._size = float(per_min or 0)
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}

    @property
    def active(self) -> bool:
        """Whether there is a limit at all."""
        return self._size > 0

    def take(self, caller: str) -> None:
        """Count one request; Rejection(rate-limited) says in details after how many seconds."""
        if not self.active:
            return
        now = self._monotonic()
        tokens, since = self._buckets.pop(caller, (self._size, now))
        tokens = min(self._size, tokens + (now - since) * self._size / 60)
        allowed = tokens >= 1
        self._buckets[caller] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _CALLERS_MAX:
            del self._buckets[next(iter(self._buckets))]
        if not allowed:
            raise rate_limited("Too many requests.", math.ceil((1 - tokens) * 60 / self._size))


def rate_limited(message: str, retry_after_s: int) -> Rejection:
    """Return the refusal of one request too many."""
    details = {"retry_after_s": retry_after_s}
    return Rejection("rate-limited", message, status_hint=429, details=details)


def caller_address(peer: str | None, forwarded_for: str | None, proxy_hops: int) -> str:
    """Return the address that a request is counted under.

    Behind ``proxy_hops`` trusted proxies it is the one that the outermost of them has seen, so many
    places from the right of X-Forwarded-For; without proxies that header is ignored, since anybody
    can write it. An IPv6 address counts as its /64, which is what one customer is given.

    >>> caller_address("10.0.0.1", "6.6.6.6, 192.0.2.7", 1)
    '192.0.2.7'
    >>> caller_address("2001:db8::1", "6.6.6.6", 0)
    '2001:db8::/64'
    """
    seen = [part.strip() for part in forwarded_for.split(",")] if forwarded_for else []
    text = seen[-proxy_hops] if 0 < proxy_hops <= len(seen) else peer or ""
    return _counted_as(text)


@lru_cache(maxsize=1024)
def _counted_as(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
