"""Errors of the service's own HTTP API: one function from any exception to its problem (RFC 9457).

Nothing that was sent is echoed: a decoding error tells where, never what.
"""

import math
import re

import msgspec
from quart import Response
from werkzeug.exceptions import HTTPException

from actors.order_events.wire import PROBLEM_JSON, REPLAYED_HEADER, Problem
from runtime.errors import Rejection, Unavailable, Unprocessable

_PATH = re.compile(r" - at `\$((?:\.\w+|\[\d*(?:\.{3})?\])*)`$")
_CODES = {
    401: "unauthorized",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}


class InvalidBody(Exception):
    """A request body that is no JSON (``pointer`` is None), or not what the route takes."""

    def __init__(self, pointer: str | None) -> None:
        super().__init__("the body cannot be decoded")
        self.pointer = pointer


def pointer_of(error: msgspec.ValidationError) -> str:
    """Return where a value is wrong, as a JSON pointer (RFC 6901) in a fragment.

    >>> pointer_of(msgspec.ValidationError("Expected `int`, got `str` - at `$.items[0].quantity`"))
    '#/items/0/quantity'
    """
    found = _PATH.search(str(error))
    path = found.group(1).replace("...", "*") if found else ""
    return "#" + re.sub(r"[.\[]", "/", path).replace("]", "")


def problem_of(error: Exception) -> Problem:
    """Return what the caller is told about this exception."""
    match error:
        case Rejection():
            return _problem(error.code, error.message, error.status_hint, error.details)
        case Unavailable():
            return _problem("unavailable", "Not now: try again later.", error.status_hint)
        case Unprocessable():
            return _problem("validation-failed", "The event is not valid.", 422)
        case InvalidBody(pointer=None):
            return _problem("malformed-json", "The body is not JSON.", 400)
        case InvalidBody():
            invalid = _problem("validation-failed", "The request is not valid.", 422)
            return msgspec.structs.replace(invalid, pointer=error.pointer)
        case HTTPException():
            status = error.code or 500
            return _problem(_CODES.get(status, "http-error"), error.name, status)
        case _:
            return _problem("internal", "Something went wrong here.", 500)


def respond(error: Exception) -> Response:
    """Return the problem as a response."""
    problem = problem_of(error)
    response = Response(msgspec.json.encode(problem), problem.status, content_type=PROBLEM_JSON)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_s or 1.0))
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if problem.details.get("replayed") is True:
        response.headers[REPLAYED_HEADER] = "true"
    return response


def _problem(
    code: str, title: str, status: int, details: dict[str, object] | None = None
) -> Problem:
    return Problem(
        type=f"/problems/{code}", title=title, status=status, code=code, details=details or {}
    )
