"""A request in its trace: what it names goes on, and where spans are collected it becomes one."""

import re
from typing import cast

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from actors import batch
from actors.guard import Headers
from runtime import tracing
from runtime.http import App, Event, Receive, Scope, Send
from runtime.telemetry import Telemetry
from runtime.tracing import TRACEPARENT, TRACESTATE, Span, Spans

PROBES = ("/healthz", "/readyz", "/metrics")
_SPANLESS = (*PROBES, batch.PATH)
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_NAME, _STATE = TRACEPARENT.encode(), TRACESTATE.encode()
_PARAMETER = re.compile("<(?:[^:<>]+:)?([^<>]+)>")


class Traced:
    """Stands in front of the ASGI application ``app``, whose routes are those of ``routes``.

    A span is named by method and route's template (OpenTelemetry's semantic conventions for HTTP),
    never by the path, which may be a customer's link. It ends when the answer begins, because a
    stream of events has no end of its own. Probes have none, nor have batches, whose parts belong
    to many traces.
    """

    def __init__(self, app: App, routes: Map, telemetry: Telemetry) -> None:
        self._app = app
        self._routes = routes.bind("")
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, in its trace."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = cast("Headers", scope["headers"])
        given = [value for name, value in headers if name == _NAME]
        parent = tracing.well_formed(given[0].decode("latin-1")) if len(given) == 1 else None
        said = b",".join(value for name, value in headers if name == _STATE)
        state = tracing.well_formed_state(said.decode("latin-1")) if parent else None
        tracing.follow(parent, state)
        spans = self._telemetry.spans
        if spans is None or scope["path"] in _SPANLESS:
            await self._app(scope, receive, send)
        else:
            span = self._begin(spans, scope, parent)
            tracing.follow(span, state)
            await self._in_span(span, scope, receive, send)

    def _begin(self, spans: Spans, scope: Scope, parent: str | None) -> Span:
        method, path = cast("str", scope["method"]), cast("str", scope["path"])
        attributes: dict[str, str | int] = {
            "http.request.method": method if method in _METHODS else "_OTHER"
        }
        name = method if method in _METHODS else "HTTP"
        try:
            rule, _ = self._routes.match(path, method, return_rule=True)
        except HTTPException:
            return spans.begin(name, "server", parent, attributes)
        route = _PARAMETER.sub(r"{\1}", rule.rule)
        return spans.begin(f"{name} {route}", "server", parent, {**attributes, "http.route": route})

    async def _in_span(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def watched(event: Event) -> None:
            nonlocal answered
            if event["type"] == "http.response.start":
                answered = True
                status = cast("int", event["status"])
                span.note("http.response.status_code", status)
                if status >= 500:
                    span.fail(str(status))
                span.end()
            await send(event)

        try:
            await self._app(scope, receive, watched)
        finally:
            if not answered:
                span.fail("no answer")
                span.end()
