"""The picture of where events go: nothing outside of it, nothing over anything else."""

from itertools import combinations

import pytest

from actors.gateway.console.backstage import Asked
from actors.gateway.console.flow import Box
from actors.gateway.console.topology import flow
from actors.topology import SUBSCRIPTIONS

AWAY = {name: Asked(None, "away") for name in ("order-events", *SUBSCRIPTIONS)}
PHONE_PX = 390 - 2 * (16 + 16 + 1)
"""What a phone's width leaves inside of the page's and the panel's edges."""


def overlap(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


@pytest.mark.parametrize("kind", ["wide", "tall"])
def test_every_box_has_a_place_of_its_own_within_the_picture(kind: str) -> None:
    drawn = getattr(flow(SUBSCRIPTIONS, AWAY, AWAY, {}), kind)
    assert len(drawn.boxes) == 12
    assert not [pair for pair in combinations(drawn.boxes, 2) if overlap(*pair)]
    for box in drawn.boxes:
        assert 0 <= box.x <= drawn.width - box.width
        assert 0 <= box.y <= drawn.height - box.height
        assert box.height >= 39 + 15 * len(box.place.figures), "its last line is inside"


def test_the_narrow_picture_fits_a_phone_as_it_is() -> None:
    drawn = flow(SUBSCRIPTIONS, AWAY, AWAY, {})
    assert drawn.tall.width <= PHONE_PX
    assert [box.place for box in drawn.tall.boxes] == drawn.places
