"""What a refused request has left: nothing that only the cyclic collector would free.

A cycle would hold the request, its body and its whole group of works, and whoever sends requests
that are refused chooses how many there are.
"""

import pytest
from quart.ctx import RequestContext

from runtime.errors import Rejection
from tests.harness.freed import left_to_the_collector
from tests.harness.gateway import CARD, OPERATOR, PREPARED, World

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nowhere", "", 404),
        ("DELETE", "/v1/orders", "", 405),
        ("POST", "/v1/orders", "{", 400),
        ("POST", "/v1/orders", '{"items": 1}', 422),
        ("GET", "/v1/orders/ord_00000000000000000000000000", "", 404),
        ("POST", "{order}/cancellation", "{}", 409),
        ("PUT", "{order}/payment", f'{{"card": {CARD}}}'.replace("'", '"'), 409),
    ],
)
async def test_a_refused_request_is_freed_without_the_collector(
    world: World, method: str, path: str, body: str, status: int
) -> None:
    placed = await world.place()
    await world.advance(placed.id, *PREPARED)
    target = path.format(order=placed.path)
    with left_to_the_collector(Rejection, RequestContext) as left:
        for _ in range(3):
            answer = await world.call(method, target, data=body, headers=JSON | OPERATOR)
            assert answer.status == status, answer.body
        del answer
    assert left == []
