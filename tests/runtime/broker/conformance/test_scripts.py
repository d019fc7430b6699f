"""Every script, on the broker's core in memory, behind TCP, and on a real RabbitMQ."""

from pathlib import Path

import pytest

from tests.runtime.broker.conformance.player import Scenario, load, play
from tests.runtime.broker.conformance.targets import InMemory

SCENARIOS = load(Path(__file__).parent)
every_scenario = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[f"{one.file.stem}: {one.title}" for one in SCENARIOS]
)


@every_scenario
def test_in_memory(scenario: Scenario) -> None:
    play(scenario, InMemory())
