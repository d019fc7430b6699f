"""What the way between two nodes does to a run: it is felt, and nothing is lost by it."""

from typing import Any

import pytest

from tests.sim.faults.small import strike

WEATHER: list[tuple[str, str, dict[str, Any]]] = [
    ("silence", "shop|broker", {}),
    ("black-hole", "broker|shop", {}),
    ("refuse", "shop|broker", {}),
    ("latency", "customers|shop", {"late_s": 0.5}),
    ("clog", "shop|broker", {"bytes_per_s": 2000}),
    ("pieces", "shop|broker", {"split": 1.0}),
    ("gathered", "broker|shop", {"gather_s": 0.05}),
]


@pytest.mark.parametrize(("kind", "path", "facts"), WEATHER, ids=[row[0] for row in WEATHER])
def test_the_weather_is_felt_while_it_lasts(kind: str, path: str, facts: dict[str, Any]) -> None:
    struck = strike(kind, path, **facts)
    assert struck.effects == {kind: 1}
    one, _, other = path.partition("|")
    assert struck.running.engine.network.path(one, other).touched > 0
    assert struck.breaches == []


def test_a_reset_costs_every_connection_of_the_path() -> None:
    calm, struck = strike("wall-skew", "mailer", by_s=0.0), strike("reset", "shop|broker")
    lost = struck.incidents("broker.lost") - calm.incidents("broker.lost")
    assert lost >= 4
    assert struck.effects == {"reset": lost}
    assert struck.breaches == []


def test_a_reset_falls_inside_a_frame() -> None:
    struck = strike("reset-in-frame", "shop|broker", at_s=1.02, to_server=True)
    assert struck.effects == {"reset-in-frame": 1}
    assert struck.breaches == []


@pytest.mark.parametrize("frames", [1, 4, 9])
def test_a_handshake_gets_stuck_at_each_step_and_is_given_up(frames: int) -> None:
    struck = strike("stuck-handshake", "shop|broker", for_s=7.0, frames=frames)
    assert struck.effects["stuck-handshake"] >= 4
    assert struck.breaches == []


def test_a_fault_that_finds_nobody_says_that_it_missed() -> None:
    struck = strike("reset", "gateway|order-events")
    assert (struck.result.missed, struck.effects) == ({"reset": 1}, {})
