import anyio
import pytest
from quart import Quart, url_for

from actors.http_app import http_app
from runtime.http import HttpServer
from tests.harness.running import running
from tests.harness.waiting import until


@pytest.fixture
def app() -> Quart:
    app = http_app("orders", body_bytes_max=100, body_s_max=10.0)

    @app.get("/orders/<order_id>")
    async def order(order_id: str) -> str:
        return order_id

    return app


async def test_a_path_is_matched_and_its_parts_are_handed_over(app: Quart) -> None:
    client = app.test_client()
    assert await (await client.get("/orders/ord_1")).get_data(as_text=True) == "ord_1"
    assert (await client.get("/orders/ord_1/more")).status_code == 404
    assert (await client.post("/orders/ord_1")).status_code == 405


async def test_no_code_that_makes_urls_is_compiled_for_it(app: Quart) -> None:
    async with app.test_request_context("/orders/ord_1"):
        with pytest.raises(RuntimeError, match="no URL is made from the rule /orders/<order_id>"):
            url_for("order", order_id="ord_2")


async def test_a_request_that_is_cut_off_ends_its_handler_too(app: Quart) -> None:
    begun, ended = anyio.Event(), anyio.Event()

    @app.get("/slow")
    async def slow() -> str:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    server = HttpServer(app, "127.0.0.1", 0, grace_s=0.05)
    async with running(server.run) as (context,):
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        await stream.send(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n")
        await begun.wait()
        context.stopping.set()
        assert (await stream.receive()).startswith(b"HTTP/1.1 503")
        await until(ended.is_set)
        await stream.aclose()
