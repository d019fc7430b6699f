"""HTTP clients for a system on this machine, which speaks no TLS."""

from contextlib import aclosing
from typing import Any

import httpx

from actors.service_client import ServiceClient

# Both httpx and our servers close what was idle for 5 s: who asked just then was not answered.
IDLE_S_MAX = 2.0
LIMITS = httpx.Limits(max_connections=100, keepalive_expiry=IDLE_S_MAX)


def plain_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    """Return a client without proxies that trusts nobody.

    httpx reads the certificates of everybody it trusts for each client: 15 ms, in every test.
    """
    chosen = {"trust_env": False, "verify": False, "limits": LIMITS, **options}
    return httpx.AsyncClient(base_url=url, **chosen)


def plain_service_client(url: str = "") -> aclosing[ServiceClient]:
    """Return what our own services would use."""
    transport = httpx.AsyncHTTPTransport(trust_env=False, verify=False, limits=LIMITS)
    return aclosing(ServiceClient(url, transport))
