"""What every app of ours is made from: Quart's, with our request, our limits and our rules."""

from collections.abc import Callable
from typing import Any

import anyio
from quart import Quart
from quart.asgi import ASGIHTTPConnection
from quart.routing import QuartRule

from actors.http_request import Request


def http_app(name: str, body_bytes_max: int, body_s_max: float) -> Quart:
    """Return an app without routes; a larger body is refused (413), and a slower one (408)."""
    app = Quart(name, static_folder=None, template_folder=None)
    app.request_class = Request
    app.url_rule_class = Rule
    app.asgi_http_class = HttpExchange
    app.config["MAX_CONTENT_LENGTH"] = body_bytes_max
    app.config["BODY_TIMEOUT"] = body_s_max
    app.config["RESPONSE_TIMEOUT"] = None  # each write has a limit: runtime.http_connection.STALL_S
    app.url_map.merge_slashes = False
    return app


class HttpExchange(ASGIHTTPConnection):
    """One request, whose handler ends when the request does.

    Quart handles it in a task of its own and, cancelled itself, leaves that one to go on: a server
    that stops would leave it behind, waiting for a neighbour.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._handling = anyio.CancelScope()

    async def __call__(self, receive: Any, send: Any) -> None:
        """Serve it; see ASGI."""
        try:
            await super().__call__(receive, send)
        except BaseException:
            self._handling.cancel()
            raise

    async def handle_request(self, request: Any, send: Any) -> None:
        """Have it handled, and send the answer."""
        with self._handling:
            await super().handle_request(request, send)
        # Its traceback holds the request: else only the collector would free either.
        request.routing_exception = None


class Rule(QuartRule):
    """A rule that is matched against, and never asked for a URL: ours know their paths.

    Werkzeug compiles two functions for each rule, which write URLs: nine tenths of what adding one
    takes, and a system adds hundreds while it starts.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _no_url


def _no_url(rule: Rule, **values: object) -> tuple[str, str]:
    raise RuntimeError(f"no URL is made from the rule {rule.rule}: write the path")
