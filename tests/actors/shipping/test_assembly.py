"""How the service is put together; that it works so is what the whole system's tests show."""

from pathlib import Path

import pytest

from actors.shipping.assembly import Shipping
from runtime.amqp.link import Link
from runtime.outcomes import RetryPolicy
from runtime.service import Surroundings
from runtime.telemetry import quiet_telemetry
from tests.actors.shipping.parties import Parties, parties_in
from tests.harness.order_events import RecordingPublisher


def assembled(parties: Parties, auto_ship_s: float | None) -> Shipping:
    host, telemetry = parties.shop.host, quiet_telemetry()
    around = Surroundings(
        link=Link("amqp://guest:guest@localhost/", "consume", host, telemetry),
        publisher=RecordingPublisher(),
        database=parties.runs.database,
        host=host,
        telemetry=telemetry,
        retry=RetryPolicy(),
    )
    return Shipping(parties.shop.shipping, parties.depot, around, hold_s=0, auto_ship_s=auto_ship_s)


@pytest.mark.parametrize(
    ("auto_ship_s", "children"),
    [
        (None, ["messages-shipping", "shipping-desk"]),
        (0.0, ["messages-shipping", "shipping-desk", "courier"]),
    ],
)
async def test_the_courier_runs_only_if_it_is_asked_for(
    tmp_path: Path, auto_ship_s: float | None, children: list[str]
) -> None:
    async with parties_in(tmp_path) as parties:
        shipping = assembled(parties, auto_ship_s)
        assert [child.name for child in shipping.spec().children] == children
        status = await shipping.status()
        assert (status.desk.depth, status.messages.lanes.depth) == (0, 0)
