"""The sizes of sweeps: what a file may change, and what it may not say."""

from pathlib import Path

import pytest

from runtime.errors import ConfigurationError
from sim.profiles import NAMES, Profile, Profiles, read_profiles


def test_without_a_file_each_profile_is_what_it_always_was() -> None:
    assert read_profiles(None) == Profiles()
    assert NAMES == ("dev", "ci", "nightly")


def test_a_file_changes_what_it_names_and_may_hold_the_products_tables(tmp_path: Path) -> None:
    file = tmp_path / "ordermill.toml"
    file.write_text("[http]\nport = 1\n[sim.ci]\nseeds = 40\n[sim.nightly]\ntime_budget_s = 3600\n")
    found = read_profiles(file)
    assert found.ci == Profile(seeds=40)
    assert (found.nightly.seeds, found.nightly.time_budget_s) == (20_000, 3600)
    assert found.dev == Profile()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sim.ci]\nseed = 40\n", "sim.ci.seed: no such setting; did you mean sim.ci.seeds?"),
        ("[sim.ci]\nseeds = 0\n", "sim.ci.seeds: expected an integer >= 1, got"),
        ("[sim.week]\nseeds = 1\n", "sim.week: no such setting"),
        ("[simulator]\nseeds = 1\n", "simulator: no such setting"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "ordermill.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_profiles(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)
