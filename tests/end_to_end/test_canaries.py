"""What is personal or secret stays where it belongs: every byte that the system leaves is read.

Orders are placed, changed, declined, parked and shipped; then all files, RabbitMQ's own included,
everything that was logged or printed, every metric and every status are searched.
"""

import logging
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import anyio
import httpx
import pytest

from actors.domain.order_events import Service
from tests.harness.canaries import Canaries
from tests.harness.operating import Operator
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.system import ADDRESS, Json, LiveSystem, live_system
from tests.harness.waiting import eventually, until

NUMBER, DECLINED = "4242424242424242", "4000000000000002"
CVC = "9173"
# A number of no card that the system knows, with a right check digit.
SMUGGLED = "4929176003145826"
PASSWORD = "kanarienvogel-mq-passwort"  # as RabbitMQ's account has it
CUSTOMER = {"name": "Kanarina Gelbfeder", "email": "kanarina@vogelhaus.example"}
HOME = {**ADDRESS, "name": "Kanarina Gelbfeder", "line1": "Zwitscherweg 77"}
MOVED = {**HOME, "line1": "Trillerpfad 88", "city": "Finkenheim"}
VAULT, CARRIER, PROVIDER, MAIL = "orders.db", "carrier.db", "sandbox-provider.db", "mail/"
PERSONAL: dict[str, tuple[str, tuple[str, ...]]] = {
    "card number": (NUMBER, ()),
    "declined card's number": (DECLINED, ()),
    "smuggled card number": (SMUGGLED, ()),
    "CVC": (CVC, ()),
    "name": (CUSTOMER["name"], (VAULT, CARRIER, MAIL)),
    "e-mail": (CUSTOMER["email"], (VAULT, MAIL)),
    "address": (HOME["line1"], (VAULT, CARRIER)),
    "new address": (MOVED["line1"], (VAULT, CARRIER)),
    "provider's token": ("pm_card_visa", (VAULT, PROVIDER)),
    "declined token": ("pm_card_declined", (VAULT, PROVIDER)),
    "poisonous token": ("pm_card_poison", (VAULT, PROVIDER)),
}


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What libraries log, down to what their pinned levels let through."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def card(number: str) -> Json:
    spaced = f"{number[:4]} {number[4:8]}-{number[8:12]} {number[12:]}"
    return {"card": {"number": spaced, "exp_month": 12, "exp_year": 2099, "cvc": CVC}}


async def lives(system: LiveSystem) -> list[str]:
    """Lead orders through everything that may happen to one; return their access tokens."""
    common: Json = {"customer": CUSTOMER, "shipping_address": HOME}
    shipped = await system.place(**common, payment=card(NUMBER))
    await shipped.wait_for("shipping-prepared")
    await shipped.ship()
    declined = await system.place(**common, payment=card(DECLINED))
    await declined.wait_for("payment-auth-failed")
    assert (await declined.cancel()).status_code == 200
    poisonous = await system.place("pm_card_poison", **common)
    await until(lambda: any("message.dead" in line for line in system.log))
    return [order.token for order in (shipped, declined, poisonous)]


async def held_life(system: LiveSystem) -> str:
    """Change everything about an order while payment waits, then let it be prepared."""
    order = await system.place("pm_card_declined", customer=CUSTOMER, shipping_address=HOME)
    path = f"/v1/orders/{order.id}/payment"
    assert (await system.call("PUT", path, card(NUMBER), token=order.token)).status_code == 200
    assert (await order.send_to(MOVED)).status_code == 200
    await order.wait_for("shipping-prepared")
    return order.token


async def told(system: LiveSystem) -> list[str]:
    """Return what every service tells whoever may ask: metrics, readiness, status."""
    running = system.running.system
    pages: list[str] = []
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        for name, server in running.servers.items():
            for path in ("/metrics", "/readyz", "/healthz", "/internal/v1/status"):
                token = running._world.credentials.of_service("payment")
                answer = await client.get(
                    f"http://127.0.0.1:{server.port}{path}",
                    headers={"authorization": f"Bearer {token}"},
                )
                assert answer.status_code in (200, 503, 404), (name, path)
                pages += [answer.text, str(answer.headers)]
    return pages


def secrets_of(system: LiveSystem, folder: Path, access: list[str]) -> dict[str, str]:
    """Return every secret of this installation by name."""
    kept = {path.name: path.read_text() for path in sorted((folder / "secrets").iterdir())}
    credentials = system.running.system._world.credentials
    tokens = {f"token of {name}": credentials.of_service(name) for name in get_args(Service)}
    passes = {f"access token {number}": token for number, token in enumerate(access)}
    assert {"operator-token", "secret", "service-secret"} <= set(kept)
    return {**kept, **tokens, **passes, "RabbitMQ's password": PASSWORD}


@pytest.fixture
def broker(request: pytest.FixtureRequest, broker_url: str) -> tuple[str, Path | None]:
    """Return the broker's URL with a password like no other, and the broker's own files."""
    if broker_url == "embedded":
        return broker_url, None
    node: RabbitMQ = request.getfixturevalue("rabbitmq")
    vhost = broker_url.rpartition("/")[2]
    user = f"canary-{vhost}"
    node.control("add_user", user, PASSWORD)
    node.control("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
    return f"amqp://{user}:{PASSWORD}@{node.host}:{node.port}/{vhost}", node._root


async def test_what_is_personal_or_secret_is_nowhere_else(
    tmp_path: Path,
    broker: tuple[str, Path | None],
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url, brokers_files = broker
    hold = {"payment": {"hold_s": 1.5}, "retry": {"tiers_s": [1], "attempts_max": 2}}
    async with live_system(tmp_path, url, log_level="debug", **hold) as system:
        access = [await held_life(system), *await lives(system)]
        await until(lambda: len(system.mails()) == 7)
        secrets = secrets_of(system, tmp_path, access)
        canaries = Canaries(
            PERSONAL | {name: (text, ("secrets/",)) for name, text in secrets.items()}
        )
        pages = await told(system)
        while_running = canaries.escaped(tmp_path)
    assert while_running == []
    assert canaries.escaped(tmp_path) == []
    assert Canaries(PERSONAL).missing(tmp_path) == []
    assert brokers_files is None or canaries.escaped(brokers_files) == []
    assert canaries.in_text(system.log, "log") == []
    assert canaries.in_text([everything_logged.text], "libraries' log") == []
    assert canaries.in_text(pages, "metrics and status") == []
    printed = capfd.readouterr()
    assert canaries.in_text([printed.out, printed.err], "printed") == []


async def test_a_broker_that_cannot_be_reached_is_not_told_about_with_its_password(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    canaries = Canaries({"RabbitMQ's password": (PASSWORD, ())})
    url = f"amqp://canary:{PASSWORD}@127.0.0.1:1/"
    async with live_system(tmp_path, url, log_level="debug") as system:
        await until(lambda: any("broker.lost" in line for line in system.log))
        pages = await told(system)
    assert any("reconnecting" in page for page in pages)
    printed = capfd.readouterr()
    assert canaries.in_text([*pages, *system.log, printed.out, printed.err], "told") == []
    assert canaries.escaped(tmp_path) == []


async def shop_in(operator: Operator) -> list[str]:
    """Place and settle two orders of one person: one is shipped, one declined and cancelled."""
    body = {"customer": CUSTOMER, "items": [{"sku": "MUG-1", "quantity": 1}]}
    tokens = {"operator": (operator.folder / "data/secrets/operator-token").read_text()}
    async with httpx.AsyncClient(base_url=operator.url, trust_env=False, timeout=60) as client:

        async def call(method: str, path: str, who: str, sent: Json | None = None) -> Json:
            headers = {"authorization": f"Bearer {tokens[who]}", "idempotency-key": f"{who}{path}"}
            answer = await client.request(method, f"/v1/orders{path}", json=sent, headers=headers)
            assert answer.status_code in (200, 201), answer.text
            told: Json = answer.json()
            return told

        async def reaches(order_id: str, status: str) -> None:
            async def there() -> bool:
                return bool((await call("GET", f"/{order_id}", "operator"))["status"] == status)

            await eventually(there, within_s=60)

        ids = []
        for number in (NUMBER, DECLINED):
            whole = {**body, "shipping_address": HOME, "payment": card(number)}
            placed = (await client.post("/v1/orders", json=whole)).json()
            ids.append(placed["id"])
            tokens[placed["id"]] = placed["access_token"]
        shipped, declined = ids
        await call("PUT", f"/{shipped}/shipping-address", shipped, MOVED)
        await reaches(shipped, "prepared")
        await call("POST", f"/{shipped}/shipment", "operator", {"carrier": "A", "tracking": "B1"})
        await reaches(declined, "payment_failed")
        await call("POST", f"/{declined}/cancellation", declined, {})
    return ids


async def test_after_an_erasure_the_person_is_nowhere(
    tmp_path: Path, broker: tuple[str, Path | None]
) -> None:
    """No file, no queue, no log and no audit keeps the person behind an erased order."""
    url, brokers_files = broker
    operator = Operator(tmp_path)
    # The provider's own books know the tokens that it gave out itself.
    tokens = {name: (text, (PROVIDER,)) for name, (text, _) in PERSONAL.items() if "token" in name}
    erased = Canaries({name: (text, ()) for name, (text, _) in PERSONAL.items()} | tokens)
    with operator.up(f"broker.url={url}", "payment.hold_s=2", "log.level=debug") as command:
        orders = await shop_in(operator)
        before = {line.partition(":")[0] for line in erased.escaped(tmp_path / "data")}
        assert before >= {"name", "e-mail", "address", "new address", *list(tokens)[:2]}
        telling = ("--reason", f"{CUSTOMER['email']} asked")
        refused = operator.run("order", "erase", orders[0], "--yes", *telling)
        assert (refused.returncode, "no e-mail address" in refused.stderr) == (1, True)
        for order_id in orders:
            operator.ok("order", "erase", order_id, "--yes", "--reason", "asked to")
        assert erased.escaped(tmp_path / "data") == []
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert erased.escaped(tmp_path / "data") == []
    assert brokers_files is None or erased.escaped(brokers_files) == []
    assert erased.in_text([command.output], "log") == []
    assert operator.ok("events", "verify").startswith("ok")


TEXTS: list[tuple[str, str, Json]] = [
    ("POST", "", {"customer": {**CUSTOMER, "name": SMUGGLED}}),
    ("POST", "", {"customer": {**CUSTOMER, "email": f"{SMUGGLED}@vogelhaus.example"}}),
    ("POST", "", {"items": [{"sku": SMUGGLED, "quantity": 1}]}),
    ("POST", "", {"payment": {"token": f"pm_{SMUGGLED}"}}),
    ("POST", "", {"payment": card(SMUGGLED)}),
    ("POST", "", {SMUGGLED: 1}),
    *(
        ("POST", "", {"shipping_address": {**HOME, field: f"no. {SMUGGLED}"}})
        for field in (*HOME, "line2", "region")
    ),
    *(
        ("PUT", "/shipping-address", {**HOME, field: SMUGGLED})
        for field in (*HOME, "line2", "region")
    ),
    ("PUT", "/payment", card(SMUGGLED)),
    ("POST", "/cancellation", {"reason": f"charge {SMUGGLED[:8]} {SMUGGLED[8:]} instead"}),
    ("POST", "/shipment", {"carrier": SMUGGLED, "tracking": "JD01"}),
    ("POST", "/shipment", {"carrier": "DHL", "tracking": SMUGGLED}),
    # as a number, and as people group digits
    ("POST", "", {"items": [{"sku": "MUG-1", "quantity": int(SMUGGLED)}]}),
    ("POST", "/cancellation", {"reason": int(SMUGGLED)}),
    *(
        ("POST", "/cancellation", {"reason": mark.join(re.findall("....", SMUGGLED))})
        for mark in ("-", ".", " . ", "/", "_", "\u00a0", "\u2013")
    ),
]
HEADERS = (
    *("Request-Id", "traceparent", "tracestate", "User-Agent", "Cookie", "X-Forwarded-For"),
    *("Referer", "Accept", "Accept-Language", "Origin", "Forwarded", "If-None-Match", "X-Card"),
)
GARBAGE = (
    f"GET /v1/orders/{SMUGGLED} HTTP/9.9\r\n\r\n",
    f"{SMUGGLED}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: a\r\n{SMUGGLED}\r\n\r\n",
    f"POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Length: {SMUGGLED}\r\n\r\n",
    f"POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{SMUGGLED}",
)


async def test_a_card_number_in_the_wrong_place_is_refused_and_leaves_no_trace(
    tmp_path: Path, everything_logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    canaries = Canaries({"smuggled card number": (SMUGGLED, ())})
    async with live_system(tmp_path, log_level="debug") as system:
        order = await system.place(customer=CUSTOMER, shipping_address=HOME)
        base = {"customer": CUSTOMER, "items": [{"sku": "MUG-1", "quantity": 1}]}
        whole: Json = {**base, "shipping_address": HOME, "payment": {"token": "pm_card_visa"}}
        said: list[str] = []
        for method, path, part in TEXTS:
            body = part if path else {**whole, **part}
            url = f"/v1/orders/{order.id}{path}" if path else "/v1/orders"
            token = "operator" if path == "/shipment" else order.token
            answer = await system.call(method, url, body, token=token if path else None)
            assert answer.status_code == 422, (path, part, answer.text)
            said += [answer.text, str(answer.headers)]
        said += await _in_headers_and_paths(system, whole, order.token)
        await order.wait_for("shipping-prepared")
        said += await told(system)
        assert canaries.in_text(said, "answers") == []
    assert canaries.escaped(tmp_path) == []
    printed = capfd.readouterr()
    logged = [*system.log, everything_logged.text, printed.out, printed.err]
    assert canaries.in_text(logged, "log") == []


async def _in_headers_and_paths(system: LiveSystem, whole: Json, token: str) -> list[str]:
    """Send the number in headers and paths; return what was answered."""
    said: list[str] = []
    refused = await system.client.post(
        "/v1/orders", json=whole, headers={"Idempotency-Key": SMUGGLED}
    )
    assert refused.status_code == 422
    for name in HEADERS:
        taken = await system.client.post("/v1/orders", json=whole, headers={name: SMUGGLED})
        assert taken.status_code == 201
        said.append(str(taken.headers))
    for path in (f"/{SMUGGLED}", f"/v1/orders/{SMUGGLED}", f"/v1/products/{SMUGGLED}"):
        gone = await system.call("GET", path, token=token)
        assert gone.status_code == 404
        said += [gone.text, str(gone.headers)]
    for name in ("email", "limit", "cursor", "status", "since", SMUGGLED):
        asked = await system.call("GET", f"/v1/orders?{name}={SMUGGLED}", token="operator")
        assert asked.status_code in (200, 422)
        said.append(asked.text)
    for headers in ({"Authorization": f"Bearer {SMUGGLED}"}, {"If-Match": f'"{SMUGGLED}"'}):
        told = await system.client.post("/v1/orders/ord_1/cancellation", headers=headers)
        assert 400 <= told.status_code < 500
        said.append(told.text)
    for garbage in GARBAGE:
        said.append(await _raw(system, garbage))
    return [*said, refused.text]


async def _raw(system: LiveSystem, sent: str) -> str:
    """Send bytes that are hardly HTTP; return what comes back."""
    port = system.running.system.servers["gateway"].port
    told = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(sent.encode())
        await stream.send_eof()
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError), anyio.move_on_after(20):
            while True:
                told += await stream.receive()
    return told.decode(errors="replace")


def test_the_search_finds_what_escaped(tmp_path: Path) -> None:
    canaries = Canaries({"number": (NUMBER, ()), "name": ("Kanarina", (VAULT,)), "CVC": (CVC, ())})
    for file in (VAULT, "other.db"):
        with sqlite3.connect(tmp_path / file) as connection:
            connection.execute("CREATE TABLE leak (text)")
            connection.execute("INSERT INTO leak VALUES ('Kanarina')")
        connection.close()
    (tmp_path / "log").write_text(f"paid with 4242-4242-4242-4242, cvc {CVC}")
    (tmp_path / "wide").write_bytes(NUMBER.encode("utf-16le"))
    (tmp_path / "fine").write_text(f"id 01J{CVC}0 at 1.{CVC}")
    assert canaries.escaped(tmp_path) == [
        "number: log",
        "CVC: log",
        "name: other.db",
        "number: wide",
    ]
    assert canaries.missing(tmp_path) == []
    assert Canaries({"e-mail": (CUSTOMER["email"], (VAULT,))}).missing(tmp_path) == [
        f"e-mail: {VAULT}"
    ]
