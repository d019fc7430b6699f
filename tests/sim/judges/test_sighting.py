"""When a breach was seen: the time that its sentence names, or that of what it names."""

import pytest

from sim.judges.observed import Delivery, Observed
from sim.judges.sighting import Moment, Sightings
from tests.sim.judges.witnessed import commit

EVENT, CHARGE = "evt_01JXT21QG8FX", "ch_262V20P1VWA2"


@pytest.fixture(name="sightings")
def _sightings() -> Sightings:
    return Sightings(
        Observed(
            commits=[
                commit("events", "insert", 1.0, event_id=EVENT),
                commit("operations", "insert", 2.0, id=CHARGE),
                commit("inbox", "update", 2.5, where={"message_id": EVENT}, state="done"),
                commit("inbox", "update", 3.25, where={"message_id": EVENT}, state="done"),
            ],
            delivered=[
                Delivery(0.5, 500, "shop", 1, "payment", EVENT, False, False, 4.1254, 4125),
            ],
        )
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (f"payment: {EVENT} acked at 4.125 s, while its row was claimed", Moment(4.1254, 4125)),
        (f"payment: {EVENT} was done at 2.500, 3.250, 9.000 s", Moment(3.25, 3250)),
        (f"{EVENT}: shipped by payment-service", Moment(1.0, 1000)),
        (f"ord_01JXT21QG8FX: {CHARGE} for {EVENT}", Moment(2.0, 2000)),
        (f"{EVENT} at inf s", Moment(1.0, 1000)),
        ("ord_01JXT21QG8FX: reserved once, ended 0 times", None),
        ("3 rows", None),
    ],
)
def test_a_sentence_names_its_moment(
    sightings: Sightings, text: str, moment: Moment | None
) -> None:
    assert sightings.moment(text) == moment
