"""What happens around every request: its id, the security headers, the metrics, the problems.

An id from outside is taken over where it is harmless; log and metrics see the route's template,
never the path. Header values are the basic set of the OWASP secure headers project.
"""

import re

import msgspec
from quart import Quart, Response, g, request

from actors.gateway import problems
from actors.gateway.context import Facts, Gateway, facts
from actors.gateway.idempotency import names_card_number
from runtime.errors import Rejection
from runtime.redaction import where_raised

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}
_HARMLESS_ID = re.compile(r"[\x21-\x7e]{1,64}")
_METHODS = ("GET", "HEAD", "POST", "PUT")
_encode = msgspec.json.Encoder().encode


def install(app: Quart, gateway: Gateway, routes: dict[str, str]) -> None:
    """Put this around every request of the app; ``routes`` maps endpoints to templates."""
    around = _Around(gateway, routes)
    app.before_request(around.begin)
    app.after_request(around.end)
    app.register_error_handler(Exception, around.refuse)


def request_id(given: str | None, gateway: Gateway) -> str:
    """Return the client's own request id where it is harmless, else a new one."""
    if given and _HARMLESS_ID.fullmatch(given) and not names_card_number(given):
        return given
    return gateway.host.ids.new("req")


class _Around:
    def __init__(self, gateway: Gateway, routes: dict[str, str]) -> None:
        self._gateway = gateway
        self._routes = routes

    async def begin(self) -> None:
        g.facts = Facts(
            request_id(request.headers.get("Request-Id"), self._gateway),
            self._gateway.host.clock.monotonic(),
        )

    async def end(self, response: Response) -> Response:
        headers = response.headers
        headers["Request-Id"] = facts().request_id
        headers.extend(SECURITY_HEADERS)
        method = request.method if request.method in _METHODS else "other"
        route = self._route()
        telemetry = self._gateway.telemetry
        telemetry.count(
            "http_requests_total", method=method, route=route, status=response.status_code
        )
        seconds = self._gateway.host.clock.monotonic() - facts().since
        telemetry.observe("http_request_duration_seconds", seconds, method=method, route=route)
        return response

    async def refuse(self, error: Exception) -> Response:
        answer = problems.answer(
            error,
            base_url=self._gateway.public_url,
            instance=self._instance(error),
            request_id=facts().request_id,
        )
        if answer.status == 500:
            self._gateway.telemetry.event(
                "http.failed",
                "error",
                method=request.method,
                route=self._route(),
                request_id=facts().request_id,
                error=error,
                where=where_raised(error),
            )
        return Response(
            _encode(answer.members),
            answer.status,
            {"Cache-Control": "no-store", **answer.headers},
            content_type="application/problem+json",
        )

    def _route(self) -> str:
        rule = request.url_rule
        return self._routes.get(rule.endpoint, "unmatched") if rule else "unmatched"

    def _instance(self, error: Exception) -> str | None:
        """The path, where it names something of ours: what else was typed is not repeated."""
        order_id = (request.view_args or {}).get("order_id")
        mine = isinstance(error, Rejection) and error.code not in ("not-found", "unauthorized")
        return request.path if order_id is not None and mine else None
