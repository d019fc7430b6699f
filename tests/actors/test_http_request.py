"""A request's body: awaited by who asks for it, and not for ever."""

import asyncio
from typing import Any

import pytest
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestTimeout

from actors.http_request import Request


async def _push(_path: str, _headers: Headers) -> None:
    raise AssertionError("nothing is pushed")


def posted(*, body_timeout: float = 5.0) -> Request:
    """Return a request whose head has come."""
    scope: Any = {"type": "http"}
    rest: dict[str, Any] = {"scope": scope, "send_push_promise": _push}
    head = "POST", "http", "/", b"", Headers(), "", "1.1"
    return Request(*head, body_timeout=body_timeout, **rest)


async def test_a_body_in_pieces_is_returned_whole_and_waits_in_no_other_task() -> None:
    request, before = posted(), asyncio.all_tasks()
    asked = asyncio.ensure_future(request.get_data(cache=False))
    for piece in (b"one ", b"two"):
        request.body.append(piece)
        await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == {asked}
    request.body.set_complete()
    assert await asked == b"one two"
    assert await request.get_data() == b""  # it was not kept


async def test_a_body_that_does_not_come_is_a_timeout_of_the_client() -> None:
    request = posted(body_timeout=0.01)
    request.body.append(b"one")
    with pytest.raises(RequestTimeout):
        await request.get_data()


async def test_a_text_is_decoded() -> None:
    request = posted()
    request.body.append("zwölf".encode())
    request.body.set_complete()
    assert await request.get_data(as_text=True) == "zwölf"
