"""What the application makes of a batch; that each part is answered as ever is in the contract."""

import asyncio
import json

import pytest
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException, Unauthorized

from actors.batch import PARTS_MAX, PATH, take_batches
from actors.http_app import http_app
from runtime import tracing

JSON = {"Content-Type": "application/json", "Authorization": "Bearer good"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _part(target: str, method: str = "GET", body: object = None, **more: str) -> dict[str, object]:
    return {"method": method, "target": target, "body": body, **more}


def _admit() -> None:
    if request.headers.get("Authorization") != "Bearer good":
        raise Unauthorized


async def _problem(error: HTTPException) -> Response:
    return Response("{}", error.code, content_type="application/problem+json")


@pytest.fixture
def app() -> Quart:
    app = http_app("orders", body_bytes_max=4096, body_s_max=10.0)
    take_batches(app, _admit)
    app.register_error_handler(HTTPException, _problem)

    @app.put("/echo/<name>")
    async def echo(name: str) -> Response:
        told = {
            "name": name,
            "query": request.query_string.decode(),
            "body": json.loads(await request.get_data()),
            "by": request.headers["Authorization"],
            "trace": tracing.current(),
            "state": tracing.current_state(),
        }
        return Response(json.dumps(told), content_type="application/json")

    @app.get("/nothing")
    async def nothing() -> Response:
        assert await request.get_data() == b""
        return Response(b"", 204)

    @app.get("/busy")
    async def busy() -> Response:
        headers = {"Retry-After": "7"}
        return Response("{}", 503, headers, content_type="application/problem+json")

    @app.get("/cut-off")
    async def cut_off() -> Response:
        raise asyncio.CancelledError

    @app.get("/text")
    async def text() -> str:
        return "no JSON"

    return app


async def test_each_part_is_dispatched_as_if_it_had_come_by_itself(app: Quart) -> None:
    parts = [
        _part("/echo/a%20b?x=1&x=2", "PUT", {"n": 1}, traceparent=TRACE, tracestate="a=1"),
        _part("/nothing"),
        _part("/nowhere"),
        _part("/busy"),
        _part("/text"),
        _part("/cut-off"),
        _part("/echo/last", "PUT", [2]),
    ]
    response = await app.test_client().post(PATH, headers=JSON, data=json.dumps(parts))
    first, empty, missing, busy, text, cut_off, last = json.loads(await response.get_data())
    assert response.status_code == 200
    assert first["body"] == {
        "name": "a b",
        "query": "x=1&x=2",
        "body": {"n": 1},
        "by": "Bearer good",
        "trace": TRACE,
        "state": "a=1",
    }
    assert empty == {"status": 204, "body": None}
    assert missing == {"status": 404, "body": {}}
    assert busy == {"status": 503, "body": {}, "retry_after": "7"}
    assert text == {"status": 406, "body": None}
    assert (cut_off["status"], cut_off["body"]["code"]) == (503, "unavailable")
    assert (last["body"]["body"], last["body"]["trace"]) == ([2], None)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("[]", 400),
        ("{}", 400),
        ("[", 400),
        (json.dumps([_part("/nothing")] * (PARTS_MAX + 1)), 400),
        (json.dumps([_part("nothing")]), 400),
        (json.dumps([_part("/no\nthing")]), 400),
        (json.dumps([_part("/nothing", "DELETE")]), 400),
        (json.dumps([{**_part("/nothing"), "more": 1}]), 400),
        (json.dumps([_part("/nothing"), _part(PATH, "POST", [])]), 400),
        (json.dumps([_part(f"{PATH}?x", "POST", [])]), 400),
        (json.dumps([_part("/internal/v1/%62atch", "POST", [])]), 400),
        (json.dumps([_part(f"/{PATH}", "POST", [])]), 400),
        (json.dumps([_part("/echo/a", "PUT", "x" * 5000)]), 413),
    ],
)
async def test_what_is_no_batch_of_json_is_refused(app: Quart, data: str, status: int) -> None:
    response = await app.test_client().post(PATH, headers=JSON, data=data)
    assert response.status_code == status


async def test_a_stranger_is_refused_before_anything_is_read(app: Quart) -> None:
    headers = {**JSON, "Authorization": "Bearer bad"}
    response = await app.test_client().post(PATH, headers=headers, data="[")
    assert response.status_code == 401


async def test_only_json_is_a_batch(app: Quart) -> None:
    headers = {**JSON, "Content-Type": "text/plain"}
    response = await app.test_client().post(PATH, headers=headers, data="[]")
    assert response.status_code == 415
