"""The gateway's way to each service's operator side: what its failures are called."""

from collections.abc import Callable

import httpx
import msgspec
import pytest

from actors.desks import HttpDesks
from actors.operators import AuditReply
from actors.service_client import ServiceClient
from runtime.errors import DeadlineExceeded, Rejection, Unavailable

Answer = Callable[[httpx.Request], httpx.Response]


class SetClock:
    """A clock that is moved by hand."""

    now_s = 1_790_000_000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s

    def wall(self) -> float:
        """The same seconds."""
        return self.now_s


def desks(answer: Answer, clock: SetClock | None = None) -> HttpDesks:
    return HttpDesks(
        ServiceClient("", httpx.MockTransport(answer)),
        clock or SetClock(),
        lambda name: None if name == "shipping" else f"http://{name}",
        operator_token="operator",
        service_token="gateway",
    )


def problem(status: int, **members: str) -> Answer:
    return lambda _: httpx.Response(status, content=msgspec.json.encode(members))


async def test_each_side_is_shown_its_own_token() -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), request.headers["authorization"]))
        node = {"name": "x", "kind": "child", "strategy": None, "state": "running"}
        tree = {**node, "restarts": 0, "last_error": None}
        return httpx.Response(200, json={"data": [], "status": {"supervision": tree}})

    found = desks(answer)
    await found.ask("payment", "/audit", AuditReply, params={"limit": 5})
    await found.status("order-events")
    assert seen == [
        ("http://payment/internal/v1/operator/audit?limit=5", "Bearer operator"),
        ("http://order-events/internal/v1/status", "Bearer gateway"),
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (problem(401, title="no"), "payment does not know the token of this gateway"),
        (problem(503, title="Not now", detail="the disk is full"), "payment: the disk is full"),
        (lambda _: httpx.Response(500, content=b"<html>"), "payment answered 500 without a reason"),
        (lambda _: httpx.Response(200, content=b"[]"), "payment gave an answer that cannot be"),
    ],
)
async def test_what_is_no_answer_is_unavailable(answer: Answer, text: str) -> None:
    with pytest.raises(Unavailable, match=text):
        await desks(answer).ask("payment", "/audit", AuditReply)


async def test_a_refusal_is_passed_on() -> None:
    answer = problem(422, type="/problems/validation-failed", title="`reason` must be short.")
    with pytest.raises(Rejection, match="must be short") as refused:
        await desks(answer).act("payment", "/dead-letters/replay", AuditReply, {"reason": "x"})
    assert (refused.value.code, refused.value.status_hint) == ("validation-failed", 422)


async def test_it_says_since_when_a_service_is_away_and_forgets_it_once_it_answers() -> None:
    clock, away = SetClock(), [True]

    def answer(_: httpx.Request) -> httpx.Response:
        if away[0]:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"data": []})

    found = desks(answer, clock)
    for _ in range(2):
        with pytest.raises(Unavailable, match="payment is unreachable since 14:13:20 UTC"):
            await found.ask("payment", "/audit", AuditReply)
        clock.now_s += 100
    away[0] = False
    await found.ask("payment", "/audit", AuditReply)
    away[0] = True
    with pytest.raises(Unavailable, match="since 14:16:40 UTC"):
        await found.ask("payment", "/audit", AuditReply)


async def test_a_deed_that_was_cut_off_may_have_been_done() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late")

    with pytest.raises(DeadlineExceeded, match="its audit will say"):
        await desks(answer).act("payment", "/dead-letters/replay", AuditReply, {})


async def test_a_service_whose_address_nobody_knows_is_told_with_what_to_set() -> None:
    with pytest.raises(Unavailable, match=r"set shipping\.port"):
        await desks(problem(200)).ask("shipping", "/audit", AuditReply)
