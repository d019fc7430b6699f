"""The bare limit of a gateway: a Quart handler on Hypercorn that decodes the body and answers.

Run alone: ``python -m bench.rivals.quart --folder DIR``.
"""

import argparse

import msgspec
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, Response, request

from actors.gateway.requests import PlaceRequest
from bench.ports import free_port
from runtime.host import run_process


class Placed(msgspec.Struct):
    """The answer."""

    id: str
    customer: object
    items: object
    shipping_address: object


def application() -> Quart:
    """Return the application: one route."""
    app = Quart(__name__)
    decoder, encode = msgspec.json.Decoder(PlaceRequest), msgspec.json.Encoder().encode

    @app.post("/v1/orders")
    async def place() -> Response:
        order = decoder.decode(await request.get_data())
        placed = Placed("ord_1", order.customer, order.items, order.shipping_address)
        return Response(encode(placed), 201, content_type="application/json")

    return app


async def _serve() -> None:
    config, port = Config(), free_port()
    config.bind = [f"127.0.0.1:{port}"]
    print(f"ready http://127.0.0.1:{port}", flush=True)
    await serve(application(), config)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="A bare Quart handler on Hypercorn.")
    parser.add_argument("--folder", required=True)
    parser.parse_args()
    run_process(_serve)  # the same loop and collector as ours


if __name__ == "__main__":
    main()
