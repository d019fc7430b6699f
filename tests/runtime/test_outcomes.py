import msgspec
import pytest

from runtime.errors import (
    BrokerLost,
    ConfigurationError,
    MailboxFull,
    Rejection,
    Unavailable,
    Unprocessable,
)
from runtime.inbox import Superseded
from runtime.message import Message
from runtime.outcomes import (
    ATTEMPTS_KEPT,
    HISTORY,
    OUTCOMES,
    Attempt,
    RetryPolicy,
    attempts_of,
    decide,
    parked_copy,
    retried_copy,
)

POLICY = RetryPolicy(tiers_s=(1, 5, 30), attempts_max=4)
MESSAGE = Message(
    message_id="evt_1",
    type="order-created/v1",
    body=b"{}",
    correlation_id="req_1",
    app_id="tests",
    timestamp=1_700_000_000,
    headers={"x-order-correlation": "cor_1", "x-requeued": True, "x-attempt": 3},
)


@pytest.mark.parametrize(
    ("error", "action", "result"),
    [
        (None, "done", "ok"),
        (Rejection("order-cancelled", "too late"), "done", "discarded"),
        (Superseded(), "leave", "superseded"),
        (Unprocessable("malformed", "no id"), "park", "dead"),
        (Unavailable("down"), "requeue", "retry"),
        (BrokerLost("gone"), "requeue", "retry"),
        (MailboxFull("full"), "requeue", "retry"),
        (ZeroDivisionError(), "requeue", "retry"),
        (AssertionError(), "requeue", "retry"),
    ],
)
def test_every_ending_has_its_row(error: Exception | None, action: str, result: str) -> None:
    verdict = decide(error, 1, POLICY)
    assert (verdict.action, verdict.result) == (action, result)


def test_being_cancelled_is_not_an_ending() -> None:
    import asyncio

    for row in OUTCOMES:
        assert not isinstance(asyncio.CancelledError(), row.ended)
        assert not isinstance(KeyboardInterrupt(), row.ended)


def test_the_last_attempt_is_parked_unless_it_never_gives_up() -> None:
    assert decide(Unavailable("down"), 3, POLICY).action == "requeue"
    last = decide(Unavailable("down"), 4, POLICY)
    assert (last.action, last.reason, last.result) == ("park", "exhausted", "dead")
    assert decide(ZeroDivisionError(), 4, POLICY).action == "park"
    assert decide(Unavailable("owed", gives_up=False), 4000, POLICY).action == "requeue"
    assert decide(None, 4000, POLICY).action == "done"


def test_later_attempts_stay_in_the_last_tier() -> None:
    assert [POLICY.tier_s(attempts) for attempts in (1, 2, 3, 4, 99)] == [1, 5, 30, 30, 30]


@pytest.mark.parametrize(
    ("tiers_s", "attempts_max", "name"),
    [((), 1, "tiers_s"), ((0, 1), 1, "tiers_s"), ((1,), 0, "attempts_max")],
)
def test_a_policy_that_makes_no_sense_is_refused(
    tiers_s: tuple[int, ...], attempts_max: int, name: str
) -> None:
    with pytest.raises(ConfigurationError, match=name):
        RetryPolicy(tiers_s, attempts_max)


def test_a_parked_copy_says_why_and_quotes_nobody() -> None:
    verdict = decide(Unprocessable("malformed", "card 4111 1111"), 2, POLICY)
    copy = parked_copy(MESSAGE, verdict, "payment", 1_700_000_100)
    assert (copy.message_id, copy.body, copy.type) == ("evt_1", b"{}", "order-created/v1")
    assert copy.headers == {
        "x-order-correlation": "cor_1",
        "x-requeued": True,
        "x-attempt": 2,
        "x-attempt-history": "2@1700000100 Unprocessable",
        "x-reason": "malformed",
        "x-error": "Unprocessable",
        "x-parked-at": 1_700_000_100,
        "x-origin-queue": "payment",
    }


def test_each_attempt_is_told_by_the_copy_that_follows_it_and_the_latest_are_kept() -> None:
    message = MESSAGE
    for number in range(1, ATTEMPTS_KEPT + 3):
        verdict = decide(Unavailable("for ada@example.org"), number, RetryPolicy(attempts_max=99))
        message = retried_copy(message, verdict, 1_700_000_000 + number)
    history = attempts_of(message)
    assert [attempt.number for attempt in history] == list(range(3, ATTEMPTS_KEPT + 3))
    assert history[0] == Attempt(3, 1_700_000_003, "Unavailable")
    assert message.attempt == ATTEMPTS_KEPT + 2
    assert "ada" not in str(message.headers)


@pytest.mark.parametrize("text", ["", "x", "1@", "@2 E", "1@x E", "-1@2 E", "1@2 " + "E" * 200])
def test_a_history_that_was_not_written_by_us_tells_nothing(text: str) -> None:
    headers = {**MESSAGE.headers, HISTORY: text}
    assert attempts_of(msgspec.structs.replace(MESSAGE, headers=headers)) == []
