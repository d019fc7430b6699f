"""Several requests in one: what calls of one service to another are, when they travel together.

``POST /internal/v1/batch`` carries requests, and is answered 200 with as many answers, in the same
order. Each is dispatched as if it had come by itself - its route, its limits, its errors, the
metrics - under the token of all. They are carried out at the same time, and each fails alone. It
is to HTTP what a group commit is to a disk: what many small requests cost is mostly their being
many.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, cast
from urllib.parse import unquote

import anyio
import msgspec
from quart import Quart, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import BadRequest, NotAcceptable, UnsupportedMediaType

from runtime import tracing

PATH = "/internal/v1/batch"
PARTS_MAX = 64
NOTHING = msgspec.Raw(b"null")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One request. ``target`` is path and query, as in a request line; ``body`` is JSON, or null.

    Its trace is its own: ``traceparent`` and ``tracestate`` as their headers would say it.
    """

    method: Literal["GET", "POST", "PUT"]
    target: Annotated[str, msgspec.Meta(pattern=r"^/[!-~]{0,2047}$(?!\n)")]
    body: msgspec.Raw
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.target.partition("?")[0])


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one of them was answered: JSON, or null where there was no body."""

    status: int
    body: msgspec.Raw
    retry_after: str | None = None


CUT_OFF = Answer(
    503,
    msgspec.Raw(
        b'{"type":"/problems/unavailable","title":"The request was cut off",'
        b'"status":503,"code":"unavailable"}'
    ),
    "1",
)
Parts = Annotated[list[Part], msgspec.Meta(min_length=1, max_length=PARTS_MAX)]
_parts = msgspec.json.Decoder(Parts)


def take_batches(app: Quart, admit: Callable[[], object]) -> None:
    """Have the application take batches of requests that are answered with JSON.

    ``admit`` raises where the current request may not be looked at.
    """

    async def batch() -> Response:
        admit()
        parts = await _decoded()
        answers: dict[int, Answer] = {}

        async def carry_out(number: int, part: Part) -> None:
            answers[number] = await _answered(app, part)

        async with anyio.create_task_group() as tasks:
            for number, part in enumerate(parts):
                tasks.start_soon(carry_out, number, part)
        # A part whose task somebody has cancelled has no answer of its own.
        together = [answers.get(number, CUT_OFF) for number in range(len(parts))]
        return Response(msgspec.json.encode(together), content_type="application/json")

    app.add_url_rule(PATH, f"POST {PATH}", batch, methods=["POST"])


async def _decoded() -> Sequence[Part]:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    try:
        parts = _parts.decode(await request.get_data(as_text=False))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest from error
    if any(part.path.strip("/") == PATH.strip("/") for part in parts):
        raise BadRequest  # they do not nest
    return parts


async def _answered(app: Quart, part: Part) -> Answer:
    """Dispatch one request, as `quart.asgi` would."""
    parent = tracing.well_formed(part.traceparent)
    tracing.follow(parent, tracing.well_formed_state(part.tracestate) if parent else None)
    body = b"" if part.body == NOTHING else bytes(part.body)
    headers = Headers(request.headers)
    headers["Content-Length"] = str(len(body))
    asked = app.request_class(
        part.method,
        request.scheme,
        part.path,
        part.target.partition("?")[2].encode(),
        headers,
        request.root_path,
        request.http_version,
        request.scope,  # type: ignore[arg-type]  # a websocket's has no body to come with
        max_content_length=app.config["MAX_CONTENT_LENGTH"],
        send_push_promise=_push_nothing,
    )
    asked.body.set_result(body)
    answer = cast("Response", await app.handle_request(asked))
    content = await answer.get_data(as_text=False)
    if content and not answer.is_json:
        return Answer(NotAcceptable.code, NOTHING)  # it cannot be a part of JSON
    return Answer(
        answer.status_code, msgspec.Raw(content) or NOTHING, answer.headers.get("Retry-After")
    )


async def _push_nothing(_path: str, _headers: Headers) -> None:
    """HTTP/1.1 cannot."""
