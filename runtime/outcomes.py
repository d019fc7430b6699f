"""How the handling of a message may end, and what follows: one literal table, and pure functions.

`OUTCOMES` is the whole decision; `runtime.service` carries it out, in one place.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Literal

import msgspec

from runtime.errors import ConfigurationError, Rejection, Unavailable, Unprocessable
from runtime.inbox import Settled, Superseded
from runtime.message import ATTEMPT, HeaderValue, Message

Action = Literal["done", "requeue", "park", "leave"]

REASON = "x-reason"
ERROR = "x-error"
PARKED_AT = "x-parked-at"
ORIGIN_QUEUE = "x-origin-queue"
HISTORY = "x-attempt-history"
ATTEMPTS_KEPT = 20
_ENTRY_LENGTH_MAX = 100


class Outcome(msgspec.Struct, frozen=True):
    """What is done with a message whose handling ended so; ``result`` is its metric's label."""

    ended: type[BaseException] | type[None]
    action: Action
    result: str


#: The first row that fits decides. Being cancelled is not an ending of the work, so it has no row.
OUTCOMES: tuple[Outcome, ...] = (
    Outcome(NoneType, "done", "ok"),
    Outcome(Rejection, "done", "discarded"),  # a rule says that there is nothing to do any more
    Outcome(Superseded, "leave", "superseded"),  # another incarnation works on it
    Outcome(Unprocessable, "park", "dead"),
    Outcome(Unavailable, "requeue", "retry"),
    Outcome(Exception, "requeue", "retry"),  # our own bug: a later version may do better
)

SETTLED: Mapping[Action, Settled] = {"done": "done", "requeue": "requeued", "park": "parked"}


class RetryPolicy(msgspec.Struct, frozen=True):
    """Attempt n waits in tier n, later ones in the last tier; parked after ``attempts_max``.

    An `Unavailable` that does not give up is never parked.
    """

    tiers_s: tuple[int, ...] = (1, 5, 30, 60)
    attempts_max: int = 10

    def __post_init__(self) -> None:
        if not self.tiers_s or min(self.tiers_s) < 1:
            raise ConfigurationError(
                f"retry.tiers_s is {list(self.tiers_s)}", hint="give delays of 1 s or more"
            )
        if self.attempts_max < 1:
            raise ConfigurationError(
                f"retry.attempts_max is {self.attempts_max}", hint="give at least 1"
            )

    def tier_s(self, attempts: int) -> int:
        """Return the delay after this many attempts, in seconds."""
        return self.tiers_s[min(attempts, len(self.tiers_s)) - 1]


class Verdict(msgspec.Struct, frozen=True):
    """What to do; ``attempts`` are made by now, ``reason`` says why a message is parked."""

    action: Action
    result: str
    attempts: int
    reason: str = ""
    error: Exception | None = None


def decide(error: Exception | None, attempts: int, retry: RetryPolicy) -> Verdict:
    """Look the ending up; ``attempts`` includes the one that has just ended."""
    row = next(row for row in OUTCOMES if isinstance(error, row.ended))
    if row.action == "park":
        assert isinstance(error, Unprocessable), "only these are parked at once"
        return Verdict("park", row.result, attempts, error.reason, error)
    gives_up = not isinstance(error, Unavailable) or error.gives_up
    if row.action == "requeue" and gives_up and attempts >= retry.attempts_max:
        return Verdict("park", "dead", attempts, "exhausted", error)
    return Verdict(row.action, row.result, attempts, error=error)


class Attempt(msgspec.Struct, frozen=True):
    """One attempt that failed: which, when (Unix time), and the class of its error."""

    number: int
    at_s: int
    error: str


def retried_copy(message: Message, verdict: Verdict, now_s: int) -> Message:
    """Copy of ``message`` for a delay queue: same identity, and one more failed attempt."""
    headers = {HISTORY: _history(message, verdict, now_s)}
    copy = message.as_retry(verdict.attempts)
    return msgspec.structs.replace(copy, headers={**copy.headers, **headers})


def attempts_of(message: Message) -> list[Attempt]:
    """Return the failed attempts that a message tells of, oldest first, `ATTEMPTS_KEPT` at most."""
    found: list[Attempt] = []
    for entry in str(message.headers.get(HISTORY, "")).split(";"):
        number, _, rest = entry.partition("@")
        at_s, _, error = rest.partition(" ")
        if number.isdecimal() and at_s.isdecimal() and len(entry) <= _ENTRY_LENGTH_MAX:
            found.append(Attempt(int(number), int(at_s), error))
    return found[-ATTEMPTS_KEPT:]


def _history(message: Message, verdict: Verdict, now_s: int) -> str:
    this = Attempt(verdict.attempts, now_s, type(verdict.error).__name__)
    kept = [*attempts_of(message), this][-ATTEMPTS_KEPT:]
    return ";".join(f"{attempt.number}@{attempt.at_s} {attempt.error}" for attempt in kept)


def parked_copy(message: Message, verdict: Verdict, queue: str, now_s: int) -> Message:
    """Copy of ``message`` for the ``.dead`` queue: same identity, and why it is there.

    Of the error only its class is told: its text may quote what a customer has typed.
    """
    headers: dict[str, HeaderValue] = {
        **message.headers,
        ATTEMPT: verdict.attempts,
        HISTORY: _history(message, verdict, now_s),
        REASON: verdict.reason,
        ERROR: type(verdict.error).__name__,
        PARKED_AT: now_s,
        ORIGIN_QUEUE: queue,
    }
    return msgspec.structs.replace(message, headers=headers)
