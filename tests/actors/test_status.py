import msgspec
import pytest
from quart import Quart, request

from actors.status import status_app
from runtime.errors import Unavailable
from runtime.telemetry import Telemetry, quiet_telemetry


def app_with(broker: str = "ok", telemetry: Telemetry | None = None) -> Quart:
    async def status() -> object:
        return {"inbox": 3}

    return status_app(
        "payment",
        checks={"store": lambda: "ok", "broker": lambda: broker},
        telemetry=telemetry or quiet_telemetry(),
        status=status,
    )


async def test_healthz_says_that_the_process_lives() -> None:
    response = await app_with().test_client().get("/healthz")
    assert (response.status_code, await response.get_json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("broker", "status"), [("ok", 200), ("reconnecting 12s", 503)])
async def test_readyz_shows_every_check_and_fails_if_one_does(broker: str, status: int) -> None:
    response = await app_with(broker).test_client().get("/readyz")
    assert response.status_code == status
    assert await response.get_json() == {"checks": {"store": "ok", "broker": broker}}


async def test_metrics_are_in_prometheus_text_format() -> None:
    response = await app_with().test_client().get("/metrics")
    assert response.content_type.startswith("text/plain; version=0.0.4")
    assert b"# TYPE ordermill_" in await response.get_data()


async def test_status_is_what_the_service_says() -> None:
    response = await app_with().test_client().get("/internal/v1/status")
    assert await response.get_json() == {"service": "payment", "status": {"inbox": 3}}


async def test_an_unknown_path_is_a_problem_document() -> None:
    response = await app_with().test_client().get("/nothing")
    assert response.content_type == "application/problem+json"
    problem = msgspec.json.decode(await response.get_data())
    assert (problem["status"], problem["type"]) == (404, "/problems/not-found")


async def test_a_failing_status_is_unavailable_or_our_bug_and_tells_no_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    telemetry = Telemetry(wall=lambda: 0.0, log_format="json", write=log.append)
    app = app_with(telemetry=telemetry)

    @app.get("/down")
    async def down() -> None:
        raise Unavailable("the disk of node 7 is full", retry_after_s=3)

    @app.get("/bug/<name>")
    async def bug(name: str) -> None:
        raise ValueError("4242 4242 4242 4242")

    unavailable = await app.test_client().get("/down")
    assert (unavailable.status_code, unavailable.headers["Retry-After"]) == (503, "3")
    assert b"node 7" not in await unavailable.get_data()
    failed = await app.test_client().get("/bug/Ada?email=ada")
    assert failed.status_code == 500
    assert b"4242" not in await failed.get_data()
    (line,) = map(msgspec.json.decode, log)
    assert (line["event"], line["method"], line["route"]) == ("http.failed", "GET", "/bug/<name>")
    assert line["error"] == "ValueError: [digits]"
    assert line["where"].startswith("test_status.py:")
    assert "ada" not in log[0].lower()
    assert caplog.records == []


async def test_every_side_bounds_the_bodies_it_reads() -> None:
    app = app_with()

    @app.post("/reads")
    async def reads() -> str:
        return str(len(await request.get_data()))

    client = app.test_client()
    taken = await client.post("/reads", data=b"x" * 65_536)
    assert (taken.status_code, await taken.get_data()) == (200, b"65536")
    assert (await client.post("/reads", data=b"x" * 65_537)).status_code == 413
    assert app.config["BODY_TIMEOUT"] == 5
