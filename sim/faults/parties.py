"""What the outside parties do: provider, carrier and mailer are slow, lose, refuse, answer late.

``only`` is an operation (``capture``), ``share`` how likely each call is hit, ``left`` how many at
most, ``skip`` how many pass first. Cards that are declined are the workload's affair.
"""

import random
from typing import Any

from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, Strike
from sim.plan import World
from sim.remote import TIMEOUT_S, Trouble

_OPERATIONS = {
    "provider": ("", "authorise", "capture", "void", "refund", "lookup"),
    "carrier": ("", "prepare"),
    "mailer": ("", "send"),
}


def _trouble(strike: Strike, **what: Any) -> Heal:
    remote = strike.world.outside.remotes[strike.fault.target]
    trouble = Trouble(strike.chance(), struck=strike.happened, **what)
    remote.troubles.append(trouble)
    return lambda: remote.troubles.remove(trouble)


def call_lost(strike: Strike) -> Heal | None:
    """Calls of a party are lost on the way there: nothing happened, and nobody answers."""
    return _trouble(strike, lose_request=True)


def answer_lost(strike: Strike) -> Heal | None:
    """A party carries calls out, and its answers are lost: a time-out that executed."""
    return _trouble(strike, lose_reply=True)


def call_refused(strike: Strike) -> Heal | None:
    """A party answers 503."""
    return _trouble(strike, refuse=True)


def call_late(strike: Strike) -> Heal | None:
    """Calls arrive ``late_s`` late, perhaps when the caller has given up, died, or cancelled."""
    return _trouble(strike, request_s=strike.fact("late_s", 2 * TIMEOUT_S))


def answer_late(strike: Strike) -> Heal | None:
    """A party answers ``late_s`` late: it has done it meanwhile."""
    return _trouble(strike, reply_s=strike.fact("late_s", 2.0))


def _draw_call(rng: random.Random, world: World) -> Draft:
    party = rng.choice(("provider", "provider", "carrier", "mailer"))
    facts = {"only": rng.choice(_OPERATIONS[party]), "share": rng.choice((0.2, 0.6, 1.0))}
    return Draft(target=party, for_s=rng.uniform(2, 25), facts=facts)


def _draw_late(rng: random.Random, world: World) -> Draft:
    draft = _draw_call(rng, world)
    facts = {**draft.facts, "late_s": rng.choice((0.3, 2.0, 7.5, 10.0, 25.0))}
    return Draft(target=draft.target, for_s=draft.for_s, facts=facts)


KINDS = (
    Kind("call-lost", call_lost, _draw_call),
    Kind("answer-lost", answer_lost, _draw_call),
    Kind("call-refused", call_refused, _draw_call),
    Kind("call-late", call_late, _draw_late),
    Kind("answer-late", answer_late, _draw_late),
)

assert set(_OPERATIONS) == set(targets.PARTIES), "every party has operations"
