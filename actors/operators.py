"""What operators may ask of a service, over its own HTTP side: one prefix, one token, one audit.

The law: everything under ``/internal/v1/operator`` needs the operator's token, whatever the
service, and what changes something is in the audit. Services hang their own routes on the
blueprint.
"""

import hmac
import re
from typing import Annotated, TypeVar

import msgspec
from quart import Blueprint, Response, request

from actors.deeds import deed
from actors.domain.values import TidyText, refuse_issued_card_number, tidy_text
from actors.services import OPERATOR_PREFIX
from actors.status import answer, problem
from runtime.audit import AuditEntry
from runtime.errands import Errands
from runtime.errors import Rejection, Unavailable

LIMIT_MAX = 1000

T = TypeVar("T")

# msgspec's messages quote what was sent; the place at their end is made of our own fields' names.
_PLACE = re.compile(r" - at `(\$[\w.\[\]]*)`$")
_OWN = re.compile("`[a-z_]+` must [a-z ,-]+")
_ORDER_ID = re.compile("ord_[0-9A-Z]{26}")


class AuditReply(msgspec.Struct, frozen=True):
    """What was done lately, newest first."""

    data: list[AuditEntry]


class Why(TidyText, frozen=True):
    """The reason that goes into the audit, in the operator's own words."""

    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator did elsewhere, such as a backup, for this service's audit."""

    action: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    target: Annotated[str, msgspec.Meta(max_length=400)]
    outcome: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            refuse_issued_card_number(name, getattr(self, name))
            msgspec.structs.force_setattr(self, name, tidy_text(name, getattr(self, name)))


def operator_routes(token: str, errands: Errands) -> Blueprint:
    """Return the routes that every service has; ``GET /audit?limit=`` lists what was done,
    ``POST /audit`` adds a `Note`.

    With an empty ``token`` nobody is admitted.
    """
    routes = Blueprint("operator", __name__, url_prefix=OPERATOR_PREFIX)

    @routes.before_request
    async def admit() -> Response | None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(given.encode(), token.encode())
        if token and known and scheme.lower() == "bearer":
            return None
        refused = problem(401, "unauthorized", "The operator's token is needed")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    @routes.errorhandler(Rejection)
    async def refuse(refusal: Rejection) -> Response:
        return problem(
            refusal.status_hint, refusal.code, refusal.message, "", details=refusal.details
        )

    @routes.errorhandler(Unavailable)
    async def postpone(error: Unavailable) -> Response:
        response = problem(error.status_hint, "unavailable", "Not now: try again later", str(error))
        response.headers["Retry-After"] = "1"
        return response

    @routes.get("/audit")
    async def audit() -> Response:
        return answer(AuditReply(await errands.audit(number("limit", 100))))

    @routes.post("/audit")
    async def note() -> Response:
        given = await decoded(Note)
        await errands.note(deed(given.action, given.target, given.reason), given.outcome)
        return answer(given, 201)

    return routes


async def decoded(kind: type[T]) -> T:
    """Return the request's body; Rejection validation-failed or malformed-json, not quoting it.

    What is kept of it goes into the audit, so no text of it may hold a card's number.
    """
    raw = await request.get_data(as_text=False)
    wrong = None
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        wrong = str(error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    if wrong is None:
        raise Rejection("malformed-json", "The body is not JSON.", status_hint=400)
    place, own = _PLACE.search(wrong), _OWN.match(wrong)
    message = f"The body is not valid at {place[1] if place else '$'}"
    message = f"{message}: {own[0]}." if own else f"{message}."
    raise Rejection("validation-failed", message, status_hint=422)


def number(name: str, default: int, most: int = LIMIT_MAX) -> int:
    """Return the query parameter, a whole number from 0 to ``most``."""
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 16) or int(text) > most:
        message = f"The parameter `{name}` must be a whole number, {most} at most."
        raise Rejection("validation-failed", message, status_hint=422)
    return int(text)


def order_named(order_id: str) -> str:
    """Return the id of an order as it stands in a path; Rejection not-found where it can be none.

    Whatever else was typed stays out of the audit.
    """
    if not _ORDER_ID.fullmatch(order_id):
        raise Rejection("not-found", "That is no order's id.", status_hint=404)
    return order_id
