"""The shipping service's HTTP side: the "has shipped" request, and what every service shows.

Callers are services, each with a bearer token of its own. The handler only asks: what was asked is
carried out in the service's own task, whether or not the caller waits for it.
"""

import hmac
from collections.abc import Mapping

import msgspec
from quart import Quart, Response, request

from actors.domain.event_json import EventJson, event_json
from actors.domain.events import Carrier, Tracking
from actors.domain.order_events import CorrelationId
from actors.domain.shipments import Shipments
from actors.domain.values import refuse_issued_card_number, tidy_text
from actors.status import Check, StatusQuery, answer, problem, status_app
from runtime.errors import Rejection
from runtime.host import Ids
from runtime.telemetry import Telemetry

SHIPPED_PATH = "/internal/v1/shipments/<order_id>/shipped"


class ShippedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which carrier took the parcel, the number it is tracked by, and which request led to it."""

    carrier: Carrier
    tracking: Tracking
    correlation_id: CorrelationId | None = None

    def __post_init__(self) -> None:
        for name in ("carrier", "tracking"):
            refuse_issued_card_number(name, getattr(self, name))
            msgspec.structs.force_setattr(self, name, tidy_text(name, getattr(self, name)))


class ShippedReply(msgspec.Struct, frozen=True):
    """The event that is now in the log; ``replayed``: it was there already."""

    event: EventJson
    replayed: bool


SHOWN = ("order_status", "order_version", "blocking_event", "allowed_actions")
_REQUEST = msgspec.json.Decoder(ShippedRequest)


def shipping_app(
    shipments: Shipments,
    *,
    tokens: Mapping[str, str],
    ids: Ids,
    checks: Mapping[str, Check],
    telemetry: Telemetry,
    status: StatusQuery,
) -> Quart:
    """Return the service's app; ``tokens`` maps the name of a calling service to its token.

    ``POST /internal/v1/shipments/{order_id}/shipped {carrier, tracking}`` 200, also when repeated;
    401 without a token; 404 not-found; 409 not-prepared, already-shipped; 422 validation-failed;
    503 while order-events cannot answer.
    """
    app = status_app("shipping", checks=checks, telemetry=telemetry, status=status)

    @app.post(SHIPPED_PATH)
    async def shipped(order_id: str) -> Response:
        if not _known(request.headers.get("Authorization", ""), tokens):
            refused = problem(401, "unauthorized", "A service's bearer token is needed")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        body = _decode(await request.get_data(cache=False))
        recorded = await shipments.shipped(
            order_id, body.carrier, body.tracking, body.correlation_id or ids.new("req")
        )
        return answer(ShippedReply(event_json(recorded.event), recorded.replayed))

    @app.errorhandler(Rejection)
    async def refuse(refusal: Rejection) -> Response:
        shown = {name: refusal.details[name] for name in SHOWN if name in refusal.details}
        return problem(refusal.status_hint, refusal.code, refusal.message, "", **shown)

    return app


def _known(authorization: str, tokens: Mapping[str, str]) -> bool:
    """Whether it is one of the tokens; all are compared, each in constant time."""
    scheme, _, given = authorization.partition(" ")
    equal = [hmac.compare_digest(given.encode(), token.encode()) for token in tokens.values()]
    return scheme.lower() == "bearer" and any(equal)


def _decode(body: bytes | str) -> ShippedRequest:
    """Read a request; Rejection malformed-json or validation-failed (without quoting it)."""
    try:
        return _REQUEST.decode(body)
    except msgspec.ValidationError:
        is_json = True
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        is_json = False
    if not is_json:
        message = "The body cannot be read as JSON in UTF-8."
        raise Rejection("malformed-json", message, status_hint=400)
    message = "The body must hold `carrier` (1 to 40) and `tracking` (1 to 64 characters)."
    raise Rejection("validation-failed", message, status_hint=422)
