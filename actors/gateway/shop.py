"""The catalogue, and the test cards that pay in it."""

from quart import Response

from actors.domain.cards import TEST_CARDS
from actors.gateway.catalogue import Rendered
from actors.gateway.context import Gateway, header, json_reply
from actors.gateway.preconditions import is_unchanged
from actors.gateway.problems import not_found
from actors.gateway.replies import TestCardsReply, card_reply

_CACHED = {"Cache-Control": "public, max-age=60"}


class Shop:
    """Handlers that need no token."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def products(self) -> Response:
        """Answer with the whole catalogue."""
        return _cached(self._gateway.catalogue.all)

    async def product(self, sku: str) -> Response:
        """Answer with one product."""
        found = self._gateway.catalogue.product(sku)
        if found is None:
            raise not_found()
        return _cached(found)

    async def test_cards(self) -> Response:
        """Answer with the test cards (this handler exists in test mode only)."""
        return json_reply(TestCardsReply([card_reply(card) for card in TEST_CARDS]))


def _cached(rendered: Rendered) -> Response:
    headers = {**_CACHED, "ETag": rendered.etag}
    if is_unchanged(header("if-none-match"), rendered.etag):
        return Response(b"", 304, headers)
    return Response(rendered.body, 200, headers, content_type="application/json")
