"""The gateway's error handler: whatever was raised is answered as a problem, and a bug is logged.

People at a browser get the same problem as a page.

This is one of the few places that catch broadly; what is logged is the error and the route's
template, never the path or the body.
"""

import msgspec
from quart import Response, request

from actors.gateway import problems
from actors.gateway.context import Gateway, facts
from actors.gateway.pages.errors import ErrorPages
from runtime.errors import Rejection
from runtime.redaction import where_raised
from runtime.telemetry import Telemetry

_encode = msgspec.json.Encoder().encode


class Refusals:
    """Answers errors; ``answer`` is registered for every exception."""

    def __init__(self, gateway: Gateway, pages: ErrorPages) -> None:
        self._gateway = gateway
        self._pages = pages

    async def answer(self, error: Exception) -> Response:
        """Return the problem that this error is."""
        known = facts()
        problem = problems.answer(
            error,
            base_url=self._gateway.public_url,
            instance=_instance(error),
            request_id=known.request_id,
        )
        if problem.status == 500:
            log_bug(self._gateway.telemetry, error, request.method, known.route, known.request_id)
        if self._pages.wanted():
            return self._pages.answer(problem)
        return Response(
            _encode(problem.members),
            problem.status,
            {"Cache-Control": "no-store", **problem.headers},
            content_type="application/problem+json",
        )


def log_bug(
    telemetry: Telemetry, error: Exception, method: str, route: str, request_id: str
) -> None:
    """Log an error that nobody foresaw."""
    telemetry.event(
        "http.failed",
        "error",
        method=method,
        route=route,
        request_id=request_id,
        error=error,
        where=where_raised(error),
    )


def _instance(error: Exception) -> str | None:
    """The path, where it names something of ours: what else was typed is not repeated."""
    order_id = (request.view_args or {}).get("order_id")
    mine = isinstance(error, Rejection) and error.code not in ("not-found", "unauthorized")
    return request.path if order_id is not None and mine else None
