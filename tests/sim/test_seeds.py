"""The corpus: plans that once failed pass, and each says why it is kept."""

from pathlib import Path

import pytest

from sim.corpus import FOLDER, Entry, read_corpus
from sim.judges.table import CLAIMS
from sim.run import run

CORPUS = read_corpus(Path(__file__).parent.parent.parent / FOLDER)


def test_there_is_a_corpus() -> None:
    assert CORPUS


@pytest.mark.parametrize("entry", CORPUS.values(), ids=CORPUS)
def test_a_plan_that_once_failed_passes(entry: Entry) -> None:
    names = {claim.name for claim in CLAIMS} | {"comes-to-rest", "progress"}
    assert entry.violation in names
    assert len(entry.why) > 40
    assert run(entry.plan).violations == []
