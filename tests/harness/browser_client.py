"""A browser without scripts: it keeps cookies, follows links and redirects, and submits forms.

It takes whatever sends a request, so it drives an application in this process as well as a server.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

import httpx

from tests.harness.markup import Element, Form, parse

REDIRECTS_MAX = 5


@dataclass
class Response:
    """What came back. ``headers`` are pairs, names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header, or nothing."""
        return next((text for known, text in self.headers if known == name), "")


Send = Callable[[str, str, dict[str, str], bytes], Awaitable[Response]]
"""Sends method, path with query, headers and body."""


@dataclass
class Page:
    """A page: where it is, how it was answered, what is on it."""

    path: str
    response: Response

    def __post_init__(self) -> None:
        self.root: Element = parse(self.response.body.decode())

    @property
    def status(self) -> int:
        """The status it came with."""
        return self.response.status

    @property
    def text(self) -> str:
        """All its words."""
        return self.root.text

    @property
    def title(self) -> str:
        """Its heading."""
        return self.root.one("h1").text

    def form(self, action: str) -> Form:
        """Return the form that is sent to this path (the first of them)."""
        forms = [Form.of(found, self.path) for found in self.root.all("form")]
        found = [form for form in forms if form.action == action]
        assert found, f"no form to {action}, only {[form.action for form in forms]}"
        return found[0]

    def link(self, text: str) -> str:
        """Return where the link with these words leads."""
        found = [link for link in self.root.all("a") if text in link.text]
        assert found, f"no link {text!r} on {self.path}"
        return found[0].attributes["href"]

    def errors(self) -> dict[str, str]:
        """Return what is said beside each field, by the field's name."""
        ends = "-error"
        spans = (found for found in self.root.all("span", class_="error"))
        return {found.attributes["id"].removesuffix(ends): found.text for found in spans}


@dataclass
class Cookie:
    """One cookie and the path that it is sent to."""

    value: str
    path: str


@dataclass
class BrowserClient:
    """One browser: what it has been told to keep, and how it reaches the site."""

    send: Send
    cookies: dict[tuple[str, str], Cookie] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)

    async def get(self, path: str) -> Page:
        """Go to a path, through redirects."""
        return await self._go("GET", path, b"")

    async def submit(self, form: Form, **fields: str) -> Page:
        """Submit the form with these fields changed, and follow where it leads."""
        return await self._go("POST", form.action, self.encoded(form, **fields))

    async def post(self, form: Form, **fields: str) -> Response:
        """Submit the form, and do not follow."""
        return await self.request("POST", form.action, self.encoded(form, **fields))

    @staticmethod
    def encoded(form: Form, **fields: str) -> bytes:
        """Return the form as it goes over the wire."""
        assert form.method == "post"
        return urlencode({**form.fields, **fields}).encode()

    async def _go(self, method: str, path: str, body: bytes) -> Page:
        for _ in range(REDIRECTS_MAX):
            response = await self.request(method, path, body)
            if response.status != 303:
                return Page(path, response)
            method, path, body = "GET", response.header("location"), b""
        raise AssertionError(f"more than {REDIRECTS_MAX} redirects, to {path}")

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        """Send one request with the cookies that belong to its path, and keep those that come."""
        sent = {"accept": "text/html,*/*;q=0.8", **self._cookie_header(urlsplit(path).path)}
        if method == "POST":
            sent["content-type"] = "application/x-www-form-urlencoded"
        sent.update({name.replace("_", "-"): text for name, text in headers.items()})
        response = await self.send(method, path, sent, body)
        for name, text in response.headers:
            if name == "set-cookie":
                self._keep(text)
        return response

    def _cookie_header(self, path: str) -> dict[str, str]:
        found = [
            f"{name}={cookie.value}"
            for (name, _), cookie in self.cookies.items()
            if path == cookie.path or path.startswith(cookie.path.rstrip("/") + "/")
        ]
        return {"cookie": "; ".join(found)} if found else {}

    def _keep(self, text: str) -> None:
        self.set_cookies.append(text)
        parsed: SimpleCookie = SimpleCookie(text)
        for name, morsel in parsed.items():
            key = (name, morsel["path"])
            if morsel["max-age"] == "0":
                self.cookies.pop(key, None)
            else:
                self.cookies[key] = Cookie(morsel.value, morsel["path"])


def browser_at(server: httpx.AsyncClient) -> BrowserClient:
    """Return a browser that has not been at this server before."""

    async def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        answer = await server.request(method, path, headers=headers, content=body)
        pairs = [(name.lower(), text) for name, text in answer.headers.multi_items()]
        server.cookies.clear()  # the browser has its own
        return Response(answer.status_code, pairs, answer.content)

    return BrowserClient(send)
