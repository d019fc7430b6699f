"""A small sweep of every scenario: nothing is violated, and the same again is the same."""

import os
import random

from sim.determinism import Gate
from sim.outcome import Wishes
from sim.scenarios import SCENARIOS
from sim.sweep import generated, sweep

BASE = 1
EACH = 2


def test_a_small_sweep_of_every_scenario_holds_and_is_the_same_again() -> None:
    names = tuple(SCENARIOS)
    tasks = generated(names, EACH * len(names), BASE, Wishes(orders=6))
    done = list(sweep(tasks))
    failed = [
        f"{one.again}: {[found.text for found in one.violations][:3]}"
        for _, one in done
        if not one.passed
    ]
    assert failed == []
    assert len(done) == EACH * len(names)
    again = [
        next(pair for pair in done if pair[1].shape == shape) for shape in ("together", "apart")
    ]
    gate = Gate(dict(os.environ), random.Random(BASE))
    assert list(gate.compare(again)) == [None, None]
