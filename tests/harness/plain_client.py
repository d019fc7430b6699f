"""An HTTP client for a system on this machine, which speaks no TLS."""

from typing import Any

import httpx


def plain_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    """Return a client without proxies that trusts nobody.

    httpx reads the certificates of everybody it trusts for each client: 15 ms, in every test.
    """
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=False, **options)
