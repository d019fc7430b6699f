"""When what claims of liveness ask for was done."""

import pytest

from sim.judges.settled import longest_after
from sim.judges.table import CLAIMS
from tests.sim.judges.witnessed import ACKED_AT, ANSWERED_AT, witnessed

LIVE = {claim.name: claim for claim in CLAIMS if claim.liveness}


def test_every_claim_of_liveness_knows_when_it_was_met() -> None:
    evidence = witnessed()
    assert len(LIVE) >= 16
    for claim in LIVE.values():
        assert claim.met is not None
        list(claim.met(evidence))


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("no_delivery_is_out", ACKED_AT),
        ("every_intent_has_a_definite_answer", ANSWERED_AT),
        ("mails_are_what_the_log_implies", None),
        ("the_outbox_is_empty", None),
    ],
)
def test_it_is_the_last_thing_of_its_kind_that_counts(name: str, last: float | None) -> None:
    met = LIVE[name].met
    assert met is not None
    moments = list(met(witnessed()))
    assert moments
    assert last is None or max(moments) == last


def test_what_was_done_before_the_healing_or_after_the_rest_does_not_count() -> None:
    assert longest_after([1.0, 2.0], 5.0, 9.0) == 0.0
    assert longest_after([1.0, 7.5, 9.5], 5.0, 9.0) == 2.5
    assert longest_after([], 5.0, 9.0) == 0.0
