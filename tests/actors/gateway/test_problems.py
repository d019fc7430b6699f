"""Every refusal is a problem of the table, says what to do, and repeats nothing it was sent."""

import ast
import inspect
from pathlib import Path

import msgspec
import pytest
from werkzeug.exceptions import HTTPException, ImATeapot, RequestTimeout

import actors.gateway
from actors.domain.rules import SENTENCES
from actors.gateway import problems
from actors.gateway.problem_table import PROBLEMS
from actors.order_events import deciding, idempotency
from runtime.errors import (
    BrokerLost,
    DeadlineExceeded,
    MailboxClosed,
    MailboxFull,
    Rejection,
    StoreUnavailable,
    Unavailable,
)
from tests.harness.gateway import ORDER, World, gateway_world

# Said between services only: no customer's command or read leads to them.
INTERNAL_CODES = {"event-id-conflict", "version-conflict"}


def answer(error: Exception) -> problems.Answer:
    return problems.answer(error, base_url="https://shop", instance=None, request_id="req_1")


def _codes(source: str) -> set[str]:
    """The first arguments of every Rejection(...) in the source."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [call for call in calls if getattr(call.func, "id", "") == "Rejection"]
    return {call.args[0].value for call in named if isinstance(call.args[0], ast.Constant)}


def test_every_code_that_can_reach_a_client_is_in_the_table() -> None:
    folder = Path(inspect.getfile(actors.gateway)).parent
    sources = [path.read_text() for path in folder.glob("*.py")]
    sources += [inspect.getsource(deciding), inspect.getsource(idempotency)]
    codes = set().union(*map(_codes, sources)) | set(SENTENCES)
    assert len(codes) > 15
    assert codes - INTERNAL_CODES - set(PROBLEMS) == set()


def test_the_table_covers_the_statuses_of_its_rules() -> None:
    for code in SENTENCES:
        expected = 404 if code == "not-found" else 409
        assert PROBLEMS[code].status == expected


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_row_says_what_it_means_and_what_to_do(slug: str) -> None:
    row = PROBLEMS[slug]
    assert all((row.title, row.meaning, row.when, row.todo))
    assert row.meaning.endswith(".")
    assert row.todo.endswith(".")
    assert 400 <= row.status < 600


@pytest.mark.parametrize(
    ("error", "slug", "status"),
    [
        (StoreUnavailable("disk full at /secret/path"), "store-unavailable", 503),
        (MailboxFull("order-events: 1024"), "overloaded", 503),
        (MailboxClosed("order-events"), "service-unavailable", 503),
        (DeadlineExceeded("10 s"), "service-unavailable", 503),
        (BrokerLost("amqp://user:secret@host"), "service-unavailable", 503),
        (RequestTimeout("secret"), "request-timeout", 408),
        (KeyError("4242424242424242"), "internal", 500),
        (AssertionError("secret"), "internal", 500),
        (Rejection("not-found", "secret", status_hint=404), "not-found", 404),
    ],
)
def test_each_kind_of_error_has_its_problem(error: Exception, slug: str, status: int) -> None:
    found = answer(error)
    assert (found.status, found.members["type"]) == (status, f"https://shop/problems/{slug}")
    assert found.members["request_id"] == "req_1"
    assert ("Retry-After" in found.headers) == (status in (429, 503))
    text = msgspec.json.encode(found.members).decode()
    assert "secret" not in text
    assert "4242" not in text


def test_a_time_to_retry_is_rounded_up_to_whole_seconds() -> None:
    assert answer(Unavailable("x", retry_after_s=2.1)).headers["Retry-After"] == "3"
    assert answer(Unavailable("x", retry_after_s=0.0)).headers["Retry-After"] == "1"
    limited = Rejection("rate-limited", "Too many requests.", status_hint=429)
    assert answer(limited).headers["Retry-After"] == "1"


@pytest.mark.parametrize("error", [ImATeapot(), Rejection("nameless", "No.", status_hint=418)])
def test_what_has_no_row_is_a_problem_without_a_type(error: Exception) -> None:
    found = answer(error)
    assert (found.status, found.members["type"]) == (418, "about:blank")


def test_an_http_exception_without_a_code_is_ours() -> None:
    assert answer(HTTPException()).status == 500


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/v1//products", 404, "not-found"),
        ("GET", "/v1/products/", 404, "not-found"),
        ("GET", "/v1/products/NO-1", 404, "not-found"),
        ("GET", "/static/x", 404, "not-found"),
        ("DELETE", "/v1/orders", 405, "method-not-allowed"),
        ("OPTIONS", "/v1/orders", 405, "method-not-allowed"),
        ("BREW", "/v1/products", 405, "method-not-allowed"),
        ("GET", "/problems/nothing", 404, "not-found"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    world: World, method: str, path: str, status: int, slug: str
) -> None:
    found = await world.call(method, path)
    assert (found.status, found.slug) == (status, slug)
    assert "instance" not in found.json
    if status == 405:
        assert found.headers["Allow"]


async def test_types_are_absolute_where_the_public_url_is_known(tmp_path: Path) -> None:
    async with gateway_world(tmp_path, public_url="https://shop.example/") as world:
        found = await world.call("GET", "/nowhere")
        assert found.json["type"] == "https://shop.example/problems/not-found"


async def test_a_bug_is_a_500_that_is_logged_without_its_path(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("at the till")

    monkeypatch.setattr("actors.gateway.ordering.tokenise", broken)
    found = await world.call("POST", "/v1/orders", ORDER, {"Request-Id": "who-1"})
    assert (found.status, found.slug) == (500, "internal")
    assert "till" not in found.body.decode()
    (line,) = [msgspec.json.decode(line) for line in world.log]
    assert line["event"] == "http.failed"
    assert (line["route"], line["request_id"]) == ("/v1/orders", "who-1")
    assert line["error"] == "ZeroDivisionError: at the till"
    assert "test_problems.py" in line["where"]
