"""An HTTP client for a system on this machine, which speaks no TLS."""

from typing import Any

import httpx

# Both httpx and our servers close what was idle for 5 s: who asked just then was not answered.
IDLE_S_MAX = 2.0


def plain_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    """Return a client without proxies that trusts nobody.

    httpx reads the certificates of everybody it trusts for each client: 15 ms, in every test.
    """
    limits = httpx.Limits(max_connections=100, keepalive_expiry=IDLE_S_MAX)
    chosen = {"trust_env": False, "verify": False, "limits": limits, **options}
    return httpx.AsyncClient(base_url=url, **chosen)
