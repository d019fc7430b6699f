"""The console of a running system, in a browser without scripts."""

import httpx

from tests.harness.browser_client import BrowserClient, Page, Response


def browser_at(client: httpx.AsyncClient) -> BrowserClient:
    """Return a browser that reaches the site through this client, whose cookies are not used."""

    async def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        client.cookies.clear()
        answer = await client.request(method, path, headers=headers, content=body)
        pairs = [(name.lower(), text) for name, text in answer.headers.multi_items()]
        return Response(answer.status_code, pairs, answer.content)

    return BrowserClient(send)


async def log_in(browser: BrowserClient, token: str, path: str = "/ops") -> Page:
    """Log in with a token, on the way to a page; return the page."""
    form = (await browser.get(path)).form("/ops/login")
    return await browser.submit(form, token=token)
