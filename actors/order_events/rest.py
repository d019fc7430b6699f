"""The Order Event Service's own HTTP API, for the other services when they are other processes.

The law: `ROUTES` says who may call what, a service is known by its token, a request is answered by
the same client object that a service in this process would use, and every error is turned into a
problem by one function.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from quart import Quart, Response, request

from actors.batch import take_batches
from actors.domain.order_events import Service
from actors.http_app import http_app
from actors.order_events.handlers import Api, Ports
from actors.order_events.problems import respond
from actors.status import BODY_BYTES_MAX, BODY_S_MAX
from runtime.errors import Rejection
from runtime.redaction import describe_error, where_raised
from runtime.telemetry import Telemetry

_Handler = Callable[..., Awaitable[Response]]
EVERYBODY: tuple[Service, ...] = ("gateway", "payment", "shipping", "notification")
GATEWAY: tuple[Service, ...] = ("gateway",)
_ONE = "/internal/v1/orders/<order_id>"
ROUTES: tuple[tuple[str, str, _Handler, tuple[Service, ...]], ...] = (
    ("POST", "/internal/v1/orders", Api.place, GATEWAY),
    ("PUT", f"{_ONE}/payment", Api.update_payment, GATEWAY),
    ("PUT", f"{_ONE}/shipping-address", Api.update_address, GATEWAY),
    ("POST", f"{_ONE}/cancellation", Api.cancel, GATEWAY),
    ("POST", "/internal/v1/replays", Api.replay, GATEWAY),
    ("POST", f"{_ONE}/events", Api.append, ("payment", "shipping")),
    ("GET", _ONE, Api.order, EVERYBODY),
    ("GET", f"{_ONE}/events", Api.events, EVERYBODY),
    ("GET", f"{_ONE}/personal", Api.personal, EVERYBODY),
    ("GET", f"{_ONE}/with", Api.order_with, EVERYBODY),
    ("POST", f"{_ONE}/erasure", Api.erase, GATEWAY),
    ("GET", "/internal/v1/orders", Api.orders, EVERYBODY),
    ("GET", "/internal/v1/events", Api.all_events, GATEWAY),
    ("GET", "/internal/v1/obligations", Api.obligations, EVERYBODY),
    ("GET", "/internal/v1/outbox", Api.outbox, GATEWAY),
    ("POST", "/internal/v1/outbox/flush", Api.flush, GATEWAY),
    ("GET", "/internal/v1/status", Api.status, EVERYBODY),
)
# Without a token: they tell nothing of any order.
OPEN_ROUTES: tuple[tuple[str, _Handler], ...] = (
    ("/healthz", Api.alive),
    ("/readyz", Api.ready),
    ("/metrics", Api.metrics),
)


def create_app(ports: Ports) -> Quart:
    """Return the ASGI application. Long polls end early once `Wakeups.close` was called."""
    app = http_app("order_events", BODY_BYTES_MAX, BODY_S_MAX)
    api = Api(ports)
    for method, rule, handler, permitted in ROUTES:
        view = _guarded(api, handler, permitted, ports)
        app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
    for rule, handler in OPEN_ROUTES:
        app.add_url_rule(rule, rule, partial(handler, api), methods=["GET"])
    take_batches(app, admit=partial(_authenticated, ports.tokens))
    app.register_error_handler(Exception, partial(_explain, ports.telemetry))
    app.after_request(partial(_count, ports.telemetry))
    return app


async def _explain(telemetry: Telemetry, error: Exception) -> Response:
    response = respond(error)
    if response.status_code == 500:
        telemetry.event(
            "order_events.failed", "error", error=describe_error(error), where=where_raised(error)
        )
    return response


async def _count(telemetry: Telemetry, response: Response) -> Response:
    """Count by route template: neither ids nor a stranger's method become labels."""
    rule = request.url_rule
    telemetry.count(
        "http_requests_total",
        method="other" if rule is None else request.method,
        route="none" if rule is None else rule.rule,
        status=response.status_code,
    )
    return response


def _guarded(
    api: Api, handler: _Handler, permitted: tuple[Service, ...], ports: Ports
) -> Callable[..., Awaitable[Response]]:
    async def view(**path: str) -> Response:
        service = _authenticated(ports.tokens)
        if service not in permitted:
            message = f"The {service} service may not call this."
            raise Rejection("forbidden", message, status_hint=403)
        return await handler(api, ports.client(service), **path)

    return view


def _authenticated(tokens: Mapping[Service, str]) -> Service:
    """Return whose token this is; every token is compared, in constant time."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    found: Service | None = None
    for service, token in tokens.items():
        if hmac.compare_digest(given.encode(), token.encode()):
            found = service
    if found is None or scheme.lower() != "bearer" or not given:
        raise Rejection("unauthorized", "A service token is needed.", status_hint=401)
    return found
