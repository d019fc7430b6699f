"""Which order a text speaks of, and how people call what it names."""

import pytest

from sim.history import Answered
from sim.report.names import Names
from tests.sim.judges.witnessed import commit

ORDER, OTHER = "ord_01AB", "ord_01CD"


@pytest.fixture(name="names")
def _names() -> Names:
    """Return the names of a run with two orders, of which the second one's event was seen."""
    history = [
        Answered(f"o{number}-place", 1, 201, {"id": order_id})
        for number, order_id in ((3, ORDER), (4, OTHER))
    ]
    row = {"stream": OTHER, "event_id": "evt_9", "type": "order-created"}
    return Names(history, [commit("events", "insert", 1.0, **row)])


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (f"{ORDER}: captured twice", 3),
        ("payment: evt_9 was done at 1.000, 2.000 s", 4),
        (f"{ORDER} and evt_9", 3),
        ("o4-cancel0: refused, yet evt_77", 4),
        ("ord_01XY and evt_77: nobody's", 0),
    ],
)
def test_a_text_speaks_of_the_order_that_it_names_or_of_its_event(
    names: Names, text: str, order: int
) -> None:
    assert names.order_in(text) == order
