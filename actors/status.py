"""The HTTP side that every service has: alive, ready, metrics, status. Nothing else is shared.

A check reads state that is already there and never waits, so that a probe cannot hang on what it
probes. Errors are RFC 9457 problem documents; nothing of an exception's text reaches the client.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from actors.http_app import http_app
from runtime.errors import Unavailable
from runtime.redaction import where_raised
from runtime.telemetry import Telemetry

Check = Callable[[], str]
"""Returns ``ok``, or in a few words what is wrong (``reconnecting 12s``)."""

StatusQuery = Callable[[], Awaitable[object]]
"""Returns whatever msgspec can encode: supervision tree, mailboxes, dead letters."""

OK = "ok"
BODY_BYTES_MAX = 64 * 1024
BODY_S_MAX = 5
_PROBLEM = "application/problem+json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def status_app(
    name: str, *, checks: Mapping[str, Check], telemetry: Telemetry, status: StatusQuery
) -> Quart:
    """Return the app of service ``name``; a service with requests of its own adds its routes.

    ``GET /healthz`` 200 while the process lives. ``GET /readyz`` 200 if every check says ok, else
    503, with all answers. ``GET /metrics`` in Prometheus' text format. ``GET /internal/v1/status``
    whatever ``status`` returns.
    """
    app = http_app(name, BODY_BYTES_MAX, BODY_S_MAX)

    @app.get("/healthz")
    async def healthz() -> Response:
        return answer({"status": OK})

    @app.get("/readyz")
    async def readyz() -> Response:
        answers = {check: ask() for check, ask in checks.items()}
        ready = all(text == OK for text in answers.values())
        return answer({"checks": answers}, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(telemetry.render(), content_type=_METRICS)

    @app.get("/internal/v1/status")
    async def show_status() -> Response:
        return answer({"service": name, "status": await status()})

    answer_errors_as_problems(app, telemetry)
    return app


def answer(body: object, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(body), status, content_type="application/json")


def problem(status: int, slug: str, title: str, detail: str = "", **more: object) -> Response:
    """Return a problem document (RFC 9457); ``slug`` is the stable name of what went wrong."""
    body = {"type": f"/problems/{slug}", "title": title, "status": status, **more}
    if detail:
        body["detail"] = detail
    return Response(msgspec.json.encode(body), status, content_type=_PROBLEM)


def answer_errors_as_problems(app: Quart, telemetry: Telemetry) -> None:
    """Turn what handlers raise into problems: unavailable 503, HTTP errors, and our bugs 500.

    A bug is logged with where it was raised; of the request only its method and route's template.
    """

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        status = error.code or 500
        slug = error.name.lower().replace(" ", "-")
        return problem(status, slug, error.name)

    @app.errorhandler(Unavailable)
    async def unavailable(error: Unavailable) -> Response:
        response = problem(error.status_hint, "unavailable", "The service cannot answer now")
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_s or 1)))
        return response

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        telemetry.event(
            "http.failed",
            "error",
            method=request.method,
            route=request.url_rule.rule if request.url_rule else "none",
            error=error,
            where=where_raised(error),
        )
        return problem(500, "internal", "The request failed because of a bug of ours")
