"""Plans that once failed pass, and each says why it is kept."""

from pathlib import Path

import msgspec
import pytest

from sim.judges.table import CLAIMS
from sim.plan import Plan
from sim.run import run

SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.json"))


class Pinned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan, what it showed, and which claim it broke then."""

    why: str
    violation: str
    found: str
    fixed_in: str = ""
    plan: Plan


@pytest.mark.parametrize("path", SEEDS, ids=[path.stem for path in SEEDS])
def test_a_plan_that_once_failed_passes(path: Path) -> None:
    pinned = msgspec.json.decode(path.read_bytes(), type=Pinned)
    names = {claim.name for claim in CLAIMS} | {"comes-to-rest", "progress"}
    assert pinned.violation in names
    assert len(pinned.why) > 40
    assert run(pinned.plan).violations == []
