"""Laws over any input: never a 500, always a problem; and no card number ever gets past the API."""

import json
import sqlite3
from urllib.parse import quote, unquote, urlencode

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.gateway.operations import OPERATIONS
from tests.harness.gateway import ADDRESS, CARD, OPERATOR, ORDER, VIEWER, Placed, World

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
# What h11 lets through: no controls but the tab, every byte from 0x80.
HEADER_TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=80
).map(str.strip)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Authorization",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "Last-Event-ID",
            "Request-Id",
            "Content-Type",
            "Content-Encoding",
            "Accept",
            "Cookie",
            "X-Forwarded-For",
            "traceparent",
        ]
    ),
    HEADER_TEXT
    | st.sampled_from(['"1"', "*", OPERATOR["Authorization"], "application/json", "Bearer é"]),
    max_size=5,
)
SEGMENT = st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass"))
PROPERTY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def send(
    world: World,
    method: str,
    path: bytes,
    query: bytes = b"",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> tuple[int, dict[str, str], bytes]:
    """Send one request to the ASGI application, with bytes that no client library would send."""
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"shop.example"), *sent],
        "client": ("192.0.2.1", 5),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {},
    }
    received = [{"type": "http.request", "body": body, "more_body": False}]
    answered: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        if received:
            return received.pop()
        await anyio.sleep_forever()
        raise AssertionError

    async def answer(event: dict[str, object]) -> None:
        answered.append(event)

    await world.app(scope, receive, answer)
    start, *rest = answered
    shown = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return start["status"], shown, b"".join(event["body"] for event in rest)


def check(
    world: World, status: int, headers: dict[str, str], body: bytes, *, page: bool = False
) -> None:
    """The law: what is not answered is refused as a problem, and nothing failed inside.

    Outside of the API it may be refused as a page.
    """
    assert status < 500, (status, body)
    assert world.log == []
    assert headers["request-id"]
    if page and status >= 400 and headers["content-type"].startswith("text/html"):
        assert headers["request-id"].encode() in body  # a page, which says whom to tell what
    elif status >= 400:
        assert headers["content-type"] == "application/problem+json"
        assert msgspec.json.decode(body)["status"] == status


# Nobody answers the operator's questions here: `tests.attacks` asks them of a running system.
ASKED = [row for row in OPERATIONS if row.tag != "admin"]
WRITES = [row for row in ASKED if row.method != "GET"]


def fill(path: str, order_id: str) -> bytes:
    filled = path.replace("{order_id}", order_id).replace("{sku}", "MUG-1")
    return filled.replace("{slug}", "internal").encode()


@PROPERTY
@given(
    st.sampled_from(WRITES),
    st.binary(max_size=200) | JSON.map(msgspec.json.encode),
    st.booleans(),
)
async def test_no_body_makes_it_fail(
    world: World, operation: object, body: bytes, operator: bool
) -> None:
    auth = OPERATOR if operator else {}
    headers = {"Content-Type": "application/json", **auth}
    path = fill(operation.path, "ord_" + "0" * 26)
    check(world, *await send(world, operation.method, path, headers=headers, body=body))


@PROPERTY
@given(
    st.sampled_from(sorted(ORDER)),
    st.sampled_from(["customer", "items", "shipping_address", "payment", "expected_total"]),
    JSON,
)
async def test_no_part_of_an_order_makes_it_fail(
    world: World, replaced: str, also: str, value: object
) -> None:
    body = msgspec.json.encode({**ORDER, replaced: value, also: value})
    headers = {"Content-Type": "application/json"}
    check(world, *await send(world, "POST", b"/v1/orders", headers=headers, body=body))


@PROPERTY
@given(
    st.dictionaries(st.sampled_from([*ADDRESS, "line2", "region"]), st.text(max_size=130)),
    st.text(max_size=130),
    st.text(max_size=210) | st.none(),
)
async def test_no_text_makes_it_fail(
    world: World, address: dict[str, str], name: str, reason: str | None
) -> None:
    order = {
        **ORDER,
        "customer": {"name": name, "email": "a@example.org"},
        "shipping_address": {**ADDRESS, **address},
    }
    headers = {"Content-Type": "application/json"}
    body = _encode(order)
    status, shown, text = await send(world, "POST", b"/v1/orders", headers=headers, body=body)
    check(world, status, shown, text)
    if status == 201:
        path = f"/v1/orders/{msgspec.json.decode(text)['id']}/cancellation".encode()
        cancel = _encode({"reason": reason})
        check(world, *await send(world, "POST", path, headers={**headers, **OPERATOR}, body=cancel))


def _encode(value: object) -> bytes:
    """JSON with lone surrogates as escapes, which msgspec would refuse to write."""
    return json.dumps(value).encode()


@PROPERTY
@given(st.sampled_from(ASKED), HEADERS)
async def test_no_header_makes_it_fail(
    world: World, operation: object, headers: dict[str, str]
) -> None:
    path = fill(operation.path, "ord_" + "0" * 26)
    body = b"" if operation.method == "GET" else _encode(ORDER)
    check(world, *await send(world, operation.method, path, headers=headers, body=body))


@PROPERTY
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"]),
    st.lists(SEGMENT | st.sampled_from([b"v1", b"orders", b"events", b"problems"]), max_size=5),
    st.sampled_from([OPERATOR, VIEWER, {}]),
)
async def test_no_path_makes_it_fail(
    world: World, method: str, segments: list[bytes], auth: dict[str, str]
) -> None:
    path = quote(b"/" + b"/".join(segments)).encode()
    status, headers, body = await send(world, method, path, headers=auth)
    if method == "HEAD":  # the server leaves the body out
        assert status < 500
    else:
        page = not path.startswith(b"/v1/")
        check(world, status, headers, body, page=page)


@PROPERTY
@given(
    st.sampled_from(["order", "events", "orders"]),
    st.dictionaries(
        st.sampled_from(["at", "after", "limit", "status", "email", "since", "cursor", "x"]),
        st.text(max_size=30) | st.integers().map(str) | st.datetimes().map(str),
    ),
)
async def test_no_query_makes_it_fail(world: World, name: str, query: dict[str, str]) -> None:
    operation = next(row for row in OPERATIONS if row.id == name)
    encoded = urlencode(query, errors="surrogatepass").encode()
    path = fill(operation.path, "ord_" + "0" * 26)
    check(world, *await send(world, "GET", path, encoded, headers=OPERATOR))


@PROPERTY
@given(st.binary(max_size=100))
async def test_no_bytes_as_a_query_make_it_fail(world: World, query: bytes) -> None:
    check(world, *await send(world, "GET", b"/v1/orders", query, headers=OPERATOR))


# The number of no real card, with a right check digit, that appears nowhere else.
CANARY = "4929176003145826"
SPELLINGS = [CANARY, "4929 1760 0314 5826", "4929-1760-0314-5826", f"no. {CANARY}!"]


def _texts(spelling: str) -> list[tuple[str, str, dict[str, object]]]:
    """Every free text of every request, with the canary in it: method, path, body."""
    customer = {"name": "Ada", "email": "ada@example.org"}
    bodies: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "", {**ORDER, "customer": {**customer, "name": spelling}}),
        ("POST", "", {**ORDER, "customer": {**customer, "email": f"{CANARY}@example.org"}}),
        ("POST", "", {**ORDER, "items": [{"sku": CANARY, "quantity": 1}]}),
        ("POST", "", {**ORDER, "payment": {"token": f"pm_{CANARY}"}}),
        ("POST", "", {**ORDER, "payment": {"card": {**CARD, "number": spelling}}}),
        ("POST", "", {**ORDER, "payment": {"card": {**CARD, "cvc": CANARY}}}),
        ("POST", "", {**ORDER, spelling: 1}),
        ("POST", "/cancellation", {"reason": spelling}),
        ("POST", "/shipment", {"carrier": spelling, "tracking": "1"}),
        ("POST", "/shipment", {"carrier": "DHL", "tracking": spelling}),
        ("PUT", "/payment", {"card": {**CARD, "number": spelling}}),
    ]
    for field in (*ADDRESS, "line2", "region"):
        address = {**ADDRESS, field: spelling}
        bodies.append(("POST", "", {**ORDER, "shipping_address": address}))
        bodies.append(("PUT", "/shipping-address", address))
    return bodies


async def test_a_card_number_in_a_text_is_refused_and_stays_nowhere(world: World) -> None:
    placed = await world.place()
    for spelling in SPELLINGS:
        for method, path, body in _texts(spelling):
            url = f"{placed.path}{path}" if path else "/v1/orders"
            auth = OPERATOR if path == "/shipment" else placed.auth
            answer = await world.call(method, url, body, auth if path else None)
            assert answer.status == 422, (path, body)
            assert CANARY not in answer.body.decode()
            assert spelling not in answer.body.decode()
    await nowhere(world)


async def test_a_card_number_in_a_header_or_path_stays_nowhere(world: World) -> None:
    placed: Placed = await world.place()
    for spelling in (*SPELLINGS, f"{CANARY}-1"):
        refused = await world.call("POST", "/v1/orders", ORDER, {"Idempotency-Key": spelling})
        assert refused.status == 422
        for name in ("Request-Id", "traceparent", "User-Agent", "X-Forwarded-For", "Cookie"):
            answer = await world.call("POST", "/v1/orders", ORDER, {name: spelling})
            assert answer.status == 201
            assert spelling not in str(answer.headers)
        for path in (f"/v1/products/{spelling}", f"/{spelling}", f"/v1/orders/{spelling}"):
            answer = await world.call("GET", path, headers=placed.auth)
            assert answer.status == 404
            assert CANARY not in answer.body.decode()
    await nowhere(world)


async def test_the_number_of_an_accepted_card_stays_nowhere(world: World) -> None:
    key = {"Idempotency-Key": "k-1"}
    for _ in range(2):
        assert (await world.call("POST", "/v1/orders", ORDER, key)).status == 201
    await nowhere(world, "4242424242424242", "4242 4242 4242 4242", '"123"')


async def nowhere(world: World, *texts: str) -> None:
    """No file, no log line and no metric holds the texts."""
    for path in sorted(world.folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            for text in texts or SPELLINGS:
                assert text.encode() not in data, path.name
    shown = "\n".join(world.log) + world.metrics()
    assert not any(text in shown for text in texts or SPELLINGS)


async def test_the_search_for_a_canary_would_find_one(world: World) -> None:
    with sqlite3.connect(world.folder / "leak.db") as connection:
        connection.execute("CREATE TABLE leak (text)")
        connection.execute("INSERT INTO leak VALUES (?)", (CANARY,))
    connection.close()
    with pytest.raises(AssertionError, match="leak"):
        await nowhere(world)
