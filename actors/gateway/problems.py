"""Every way the API says no: one table (RFC 9457), and the one place that turns errors into it.

A problem never repeats what the client sent: names of our own fields, codes and sentences only, so
that no card number comes back in an error or lands in a log. A `Rejection`'s code is the slug of
its row; what is not in the table is our own bug and answered as ``internal``.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from werkzeug.exceptions import HTTPException

from actors.domain.event_json import rfc3339
from actors.gateway.problem_table import PROBLEMS, Problem
from runtime.errors import Overloaded, Rejection, StoreUnavailable, Unavailable

_SLUG_OF_STATUS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "body-too-large",
    415: "unsupported-media-type",
}
_SHOWN = ("order_status", "order_version", "allowed_actions", "errors")
_RETRY_AFTER_S = 1.0


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one field: ``pointer`` into the body, or a query parameter or header."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None

    @property
    def sentence(self) -> str:
        """Where and what, in one line."""
        return f"{self.pointer or self.parameter or self.header} {self.detail}."


class Answer(msgspec.Struct, frozen=True):
    """A problem as it will be sent: status, members of the JSON object, extra headers."""

    status: int
    members: dict[str, object]
    headers: dict[str, str]


def invalid(*errors: FieldError, code: str = "validation-failed") -> Rejection:
    """Return the 422 refusal that names these fields."""
    return Rejection(code, errors[0].sentence, status_hint=422, details={"errors": list(errors)})


def not_found() -> Rejection:
    """Return the refusal for what is not there, or not there for this caller."""
    return Rejection("not-found", PROBLEMS["not-found"].meaning, status_hint=404)


def answer(error: Exception, *, base_url: str, instance: str | None, request_id: str) -> Answer:
    """Return the problem for an error of any kind. ``base_url`` precedes the type's path."""
    problem, detail, extra, headers = _explain(error)
    members: dict[str, object] = {
        "type": f"{base_url}/problems/{problem.slug}" if problem.slug in PROBLEMS else problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "request_id": request_id,
        **extra,
    }
    if instance is not None:
        members["instance"] = instance
    return Answer(problem.status, members, headers)


_Explained = tuple[Problem, str, dict[str, object], dict[str, str]]


def _explain(error: Exception) -> _Explained:
    if isinstance(error, Rejection):
        return _rejected(error)
    if isinstance(error, Unavailable):
        return _unavailable(error)
    if isinstance(error, HTTPException):
        return _http(error)
    return PROBLEMS["internal"], PROBLEMS["internal"].meaning, {}, {}


def _rejected(error: Rejection) -> _Explained:
    problem = PROBLEMS.get(error.code) or _plain(error.status_hint)
    if problem.slug == "not-found":
        # One answer for all of them: which of two was not found is nobody's business.
        return problem, problem.meaning, {}, {}
    extra = {name: error.details[name] for name in _SHOWN if name in error.details}
    detail = error.message
    blocking = error.details.get("blocking_event")
    if isinstance(blocking, Mapping):
        extra["blocking_event"], since = _blocking_event(blocking)
        detail = f"{detail} ({since})"
    headers = _retry_after(problem, error.details.get("retry_after_s"))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.details.get("replayed") is True:
        headers["Idempotent-Replayed"] = "true"
    return problem, detail, extra, headers


def _blocking_event(found: Mapping[str, object]) -> tuple[dict[str, object], str]:
    shown = {name: found[name] for name in ("id", "type", "version") if name in found}
    at_ms = found.get("at_ms")
    if isinstance(at_ms, int):
        shown["time"] = rfc3339(at_ms)
    return shown, ", ".join(
        f"{word}{shown[name]}"
        for name, word in (("type", ""), ("version", "version "), ("time", ""))
        if name in shown
    )


def _unavailable(error: Unavailable) -> _Explained:
    if isinstance(error, StoreUnavailable):
        problem = PROBLEMS["store-unavailable"]
    elif isinstance(error, Overloaded):
        problem = PROBLEMS["overloaded"]
    else:
        problem = PROBLEMS["service-unavailable"]
    return problem, problem.meaning, {}, _retry_after(problem, error.retry_after_s)


def _http(error: HTTPException) -> _Explained:
    status = error.code or 500
    slug = _SLUG_OF_STATUS.get(status)
    problem = PROBLEMS[slug] if slug is not None else _plain(status)
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problem, problem.meaning, {}, headers


def _plain(status: int) -> Problem:
    """A problem without a page of its own: RFC 9457, 4.2.1."""
    phrase = HTTPStatus(status).phrase
    return Problem("about:blank", status, phrase, f"{phrase}.", "", "", retry=False)


def _retry_after(problem: Problem, hint_s: object) -> dict[str, str]:
    if problem.status not in (429, 503):
        return {}
    seconds = hint_s if isinstance(hint_s, float | int) else _RETRY_AFTER_S
    return {"Retry-After": str(max(1, math.ceil(seconds)))}
