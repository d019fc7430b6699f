"""A page of the log is what was asked for, at the cost of a page, however rare that is."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import event_log, event_store
from runtime.event_log import Narrowed, load_page, position_before
from runtime.event_store import NewEvent
from runtime.transaction import Transaction

EVENTS = 10_000
PAGE = 20
RARE_EVERY = 400
TYPES = ("often", "seldom", "rare")


def type_of(number: int) -> str:
    """What the n-th event is: once in a while a rare one, once in ten a seldom one."""
    return "rare" if number % RARE_EVERY == 0 else "seldom" if number % 10 == 0 else "often"


def filled(events: int) -> Transaction:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(event_store.SCHEMA + event_store.TRACESTATE + event_log.INDEX)
    tx = Transaction(connection)
    for number in range(1, events + 1):
        event = NewEvent(
            stream=f"s{number % 50}",
            event_id=f"e{number}",
            type=type_of(number),
            schema_version=1,
            data=b"{}",
            app_id="app",
            correlation_id="c",
            stream_correlation="sc",
        )
        event_store.append(tx, event, 1000 * number)
    return tx


@pytest.fixture(scope="module")
def log() -> Iterator[sqlite3.Connection]:
    connection = filled(EVENTS).connection
    yield connection
    connection.close()


def cost(log: sqlite3.Connection, wanted: Narrowed, *, newest: bool) -> int:
    """Return how many instructions of SQLite's machine a page takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    log.set_progress_handler(count, 1)
    try:
        assert len(load_page(log, wanted, PAGE, newest=newest)) == PAGE
    finally:
        log.set_progress_handler(None, 0)
    return steps


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("types", [None, ("often",), ("seldom",), ("rare",), TYPES])
def test_a_page_costs_the_same_wherever_it_is_and_however_rare(
    log: sqlite3.Connection, types: tuple[str, ...] | None, newest: bool
) -> None:
    room = PAGE * RARE_EVERY
    places = range(0, EVENTS - room, 500)
    costs = {
        cost(log, Narrowed(before=place + room + 1, types=types), newest=True)
        if newest
        else cost(log, Narrowed(after=place, types=types), newest=False)
        for place in places
    }
    kinds = len(types or ("all",))
    assert max(costs) - min(costs) <= 4 * kinds, "wherever it is"
    assert max(costs) < (kinds + 2) * PAGE * 20, "nothing is read but a page of each type"


def test_a_stream_is_read_by_itself_whatever_it_is_narrowed_to(log: sqlite3.Connection) -> None:
    plan = "EXPLAIN QUERY PLAN "
    seen: list[str] = []
    log.set_trace_callback(seen.append)
    found = load_page(log, Narrowed(stream="s7", types=("often",)), PAGE)
    log.set_trace_callback(None)
    assert {event.stream for event in found} == {"s7"}
    (first, *_) = seen
    steps = [row[3] for row in log.execute(plan + first)]
    assert steps[0].startswith("SEARCH events USING INDEX sqlite_autoindex_events_2 (stream=?)")


@given(
    after=st.integers(0, 70),
    before=st.integers(0, 70),
    stream=st.sampled_from([None, "s1", "s7", "none"]),
    types=st.one_of(st.none(), st.sets(st.sampled_from([*TYPES, "none"])).map(sorted)),
    limit=st.integers(1, 80),
    newest=st.booleans(),
)
def test_a_page_is_what_was_asked_for(
    small: sqlite3.Connection,
    after: int,
    before: int,
    stream: str | None,
    types: list[str] | None,
    limit: int,
    newest: bool,
) -> None:
    wanted = [
        event.position
        for event in event_store.load_all(small)
        if after < event.position < before
        and stream in (None, event.stream)
        and (types is None or event.type in types)
    ]
    wanted = wanted[-limit:] if newest else wanted[:limit]
    narrowed = Narrowed(after, before, stream, types)
    found = load_page(small, narrowed, limit, newest=newest)
    assert [event.position for event in found] == wanted


@pytest.fixture(scope="module")
def small() -> Iterator[sqlite3.Connection]:
    connection = filled(60).connection
    yield connection
    connection.close()


def test_a_time_is_found_by_halving(small: sqlite3.Connection) -> None:
    found = [position_before(small, at_ms) for at_ms in (0, 1000, 1001, 30_000, 60_000, 60_001)]
    assert found == [0, 0, 1, 29, 59, 60]
    empty = filled(0).connection
    assert position_before(empty, 5) == 0
