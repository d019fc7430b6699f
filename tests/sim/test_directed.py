"""Each known race, by its explicit plan: it is reached, and nothing is violated."""

import pytest
from msgspec.structs import replace

from sim.directed import DIRECTED
from sim.probes.table import PROBES
from sim.run import run


@pytest.mark.parametrize("race", DIRECTED)
def test_the_plan_reaches_its_race_and_nothing_is_violated(race: str) -> None:
    directed = DIRECTED[race]
    result = run(directed.plan)
    assert [name for name in directed.probes if not result.probes.get(name)] == []
    assert [f"{one.name}: {one.text}" for one in result.violations] == []


def test_the_races_are_those_that_the_project_knows() -> None:
    known = "G2 G9 P3 P4 P7 P9 P13 D1 D4+D5 D11 D18 O3 O4 O6 O8 S1 mail"
    assert list(DIRECTED) == known.split()
    assert all(name in PROBES for one in DIRECTED.values() for name in one.probes)


def test_a_race_is_not_reached_without_its_faults() -> None:
    """A probe that is always hit would say nothing."""
    for race in ("P7", "D1", "O3", "O8", "S1"):
        directed = DIRECTED[race]
        result = run(replace(directed.plan, faults=()))
        assert [name for name in directed.probes if result.probes.get(name)] == []
