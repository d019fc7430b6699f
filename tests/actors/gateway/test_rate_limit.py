"""Token buckets, and whose address a request is counted under."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from actors.gateway import rate_limit
from actors.gateway.context import Limits
from actors.gateway.rate_limit import RateLimit, caller_address
from runtime.errors import Rejection
from tests.harness.gateway import ORDER, gateway_world


def _allowed(limit: RateLimit, caller: str) -> bool:
    try:
        limit.take(caller)
    except Rejection:
        return False
    return True


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 60))
def test_no_minute_holds_more_than_a_full_bucket_and_its_refill(
    pauses: list[float], per_min: int
) -> None:
    now = [0.0]
    limit = RateLimit(per_min, lambda: now[0])
    taken: list[float] = []
    for pause in pauses:
        now[0] += pause
        if _allowed(limit, "a"):
            taken.append(now[0])
    for start in taken:
        assert len([at for at in taken if start <= at < start + 60]) <= 2 * per_min


def test_after_the_time_it_names_the_next_request_passes() -> None:
    now = [0.0]
    limit = RateLimit(7, lambda: now[0])
    while _allowed(limit, "a"):
        pass
    with pytest.raises(Rejection) as refused:
        limit.take("a")
    wait_s = refused.value.details["retry_after_s"]
    assert isinstance(wait_s, int)
    assert refused.value.status_hint == 429
    now[0] += wait_s
    assert _allowed(limit, "a")


def test_callers_do_not_share_and_none_means_no_limit() -> None:
    limit = RateLimit(1, lambda: 0.0)
    assert [_allowed(limit, caller) for caller in ("a", "a", "b")] == [True, False, True]
    assert all(_allowed(RateLimit(None, lambda: 0.0), "a") for _ in range(100))


def test_the_callers_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_CALLERS_MAX", 2)
    limit = RateLimit(1, lambda: 0.0)
    assert [_allowed(limit, caller) for caller in ("a", "b", "b", "c", "b", "a")] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "address"),
    [
        ("192.0.2.1", "6.6.6.6", 0, "192.0.2.1"),
        ("192.0.2.1", None, 1, "192.0.2.1"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.7", 1, "192.0.2.7"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.7, 10.0.0.2", 2, "192.0.2.7"),
        ("10.0.0.1", "192.0.2.7", 2, "10.0.0.1"),
        ("10.0.0.1", "nonsense", 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", None, 0, "2001:db8:1:2::/64"),
        ("<local>", None, 0, "unknown"),
        (None, None, 0, "unknown"),
    ],
)
def test_the_callers_address(
    peer: str | None, forwarded: str | None, hops: int, address: str
) -> None:
    assert caller_address(peer, forwarded, hops) == address


async def test_a_forwarded_address_in_a_line_of_its_own_counts_too(tmp_path: Path) -> None:
    def lines(spoofed: str) -> Headers:
        return Headers([("X-Forwarded-For", spoofed), ("X-Forwarded-For", "192.0.2.7")])

    limits = Limits(rate_per_min=1, proxy_hops=1)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.call("POST", "/v1/orders", ORDER, lines("6.6.6.6"))
        again = await world.call("POST", "/v1/orders", ORDER, lines("7.7.7.7"))
        assert (placed.status, again.status) == (201, 429)
