"""Every script, on the broker's core in memory, behind TCP, and on a real RabbitMQ."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.embedded import EmbeddedServer
from tests.harness.rabbitmq import RabbitMQ
from tests.runtime.broker.conformance.player import play
from tests.runtime.broker.conformance.script import Scenario, load
from tests.runtime.broker.conformance.targets import InMemory, real

SCENARIOS = load(Path(__file__).parent)
every_scenario = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[f"{one.file.stem}: {one.title}" for one in SCENARIOS]
)


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(vhosts=[f"v{number}" for number in range(len(SCENARIOS))]) as server:
        yield server


@every_scenario
def test_in_memory(scenario: Scenario) -> None:
    play(scenario, InMemory())


@every_scenario
def test_over_tcp(scenario: Scenario, embedded: EmbeddedServer) -> None:
    with closing(embedded.target(f"v{SCENARIOS.index(scenario)}")) as target:
        play(scenario, target)


@pytest.mark.rabbitmq
@every_scenario
def test_on_rabbitmq(scenario: Scenario, rabbitmq: RabbitMQ) -> None:
    with closing(real(rabbitmq)) as target:
        play(scenario, target)
