"""The table of claims: every number of the specification has its functions, each says its claim."""

from collections import Counter
from importlib import import_module
from inspect import isfunction, signature

from sim.judges import table
from sim.judges.table import CLAIMS, JUDGED_ELSEWHERE, asked_of, never_evaluated
from tests.sim.judges.sound import sound

NUMBERS = range(1, 29)


def test_every_number_is_judged_here_or_by_what_is_named() -> None:
    served = {number for claim in CLAIMS for number in claim.numbers}
    assert served | set(JUDGED_ELSEWHERE) == set(NUMBERS)
    for module in JUDGED_ELSEWHERE.values():
        assert import_module(module).__doc__


def test_every_claim_states_itself_and_no_name_is_used_twice() -> None:
    assert [claim.name for claim in CLAIMS if len(claim.text) < 20] == []
    assert [name for name, count in Counter(one.name for one in CLAIMS).items() if count > 1] == []


def test_every_judge_that_is_written_is_in_the_table() -> None:
    listed = {claim.judge for claim in CLAIMS}
    for name in ("asked", "conduct", "messages", "model", "order_log", "parties", "past", "rest"):
        module = getattr(table, name)
        for attribute, value in vars(module).items():
            ours = isfunction(value) and value.__module__ == module.__name__
            if (
                ours
                and not attribute.startswith("_")
                and list(signature(value).parameters) == ["evidence"]
            ):
                assert value in listed, f"{name}.{attribute}"


def test_what_only_the_dead_could_do_is_not_asked_for() -> None:
    evidence = sound()
    assert len(asked_of(evidence)) == len(CLAIMS)
    evidence.dead = ("broker",)
    names = {claim.name for claim in asked_of(evidence)}
    assert "the_outbox_is_empty" not in names
    assert "every_intent_has_a_definite_answer" in names
    assert {claim.name for claim in CLAIMS if not claim.liveness} <= names


def test_a_claim_without_a_case_in_a_whole_sweep_is_named() -> None:
    cases = {claim.name: 1 for claim in CLAIMS}
    assert never_evaluated(cases) == []
    del cases["no_refund_twice"]
    cases["no_mail_twice"] = 0
    assert sorted(never_evaluated(cases)) == ["no_mail_twice", "no_refund_twice"]
