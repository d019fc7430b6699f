"""A short share of the random comparison, the same seeds always; `make conformance` has more."""

from collections.abc import Iterator

import pytest

from tests.harness.embedded import EmbeddedServer
from tests.harness.rabbitmq import RabbitMQ
from tests.runtime.broker.conformance.differential import (
    Difference,
    Step,
    compare,
    rehearse,
    reproducible,
)
from tests.runtime.broker.conformance.generator import Generator
from tests.runtime.broker.conformance.shrink import shrunk
from tests.runtime.broker.conformance.targets import InMemory, real

SEEDS = range(16)
STEPS = 50


def lines(seed: int) -> list[str]:
    return Generator(seed).run(STEPS)


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.mark.parametrize("seed", range(100))
def test_the_core_says_the_same_every_time(seed: int) -> None:
    steps = rehearse(lines(seed))
    assert len(steps) >= STEPS
    assert compare(steps, InMemory()) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_over_tcp(seed: int, embedded: EmbeddedServer) -> None:
    found = reproducible(lines(seed), embedded.fresh_target)
    assert found is None, f"\n{found}"


@pytest.mark.rabbitmq
@pytest.mark.parametrize("seed", SEEDS)
def test_on_rabbitmq(seed: int, rabbitmq: RabbitMQ) -> None:
    found = reproducible(lines(seed), lambda: real(rabbitmq))
    assert found is None, f"\n{found}"


def test_a_difference_is_found_and_shrunk() -> None:
    steps = rehearse(lines(0))
    number = next(index for index, step in enumerate(steps) if step.frames)
    changed = [*steps]
    changed[number] = Step(steps[number].line, {"A1": ["basic.ack delivery_tag=7"]})
    found = compare(changed, InMemory())
    assert isinstance(found, Difference)
    assert found.number == number
    assert steps[number].line in str(found)
    assert shrunk("abcdefgh", lambda left: "c" in left and "g" in left) == ["c", "g"]
