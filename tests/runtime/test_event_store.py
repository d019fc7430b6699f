"""Streams: versions without a gap, appends that may be repeated, a log that only grows."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runtime import event_store
from runtime.database import open_database
from runtime.errors import Rejection
from runtime.event_store import Appended, NewEvent
from runtime.host import production_host
from runtime.transaction import Transaction

SCHEMA = event_store.SCHEMA + event_store.TRACESTATE


def event(stream: str = "s", event_id: str = "e1", data: bytes = b"{}", **more: str) -> NewEvent:
    return NewEvent(
        stream=stream,
        event_id=event_id,
        type=more.get("type", "happened"),
        schema_version=1,
        data=data,
        app_id="app",
        correlation_id=more.get("correlation_id", "c"),
        stream_correlation="sc",
    )


@pytest.fixture
def tx() -> Transaction:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA recursive_triggers=ON")
    connection.executescript(SCHEMA)
    return Transaction(connection)


def test_versions_count_up_in_each_stream_and_positions_across_all(tx: Transaction) -> None:
    appended = [
        event_store.append(tx, event(stream, f"{stream}{number}"), 10).event
        for number in range(3)
        for stream in ("a", "b")
    ]
    assert [(e.position, e.stream, e.version) for e in appended] == [
        (1, "a", 1),
        (2, "b", 1),
        (3, "a", 2),
        (4, "b", 2),
        (5, "a", 3),
        (6, "b", 3),
    ]
    assert event_store.load_stream(tx.connection, "a") == appended[::2]
    assert event_store.load_stream(tx.connection, "a", after=1, limit=1) == [appended[2]]
    assert event_store.load_all(tx.connection, after_position=2, limit=3) == appended[2:5]
    assert event_store.event_by_id(tx.connection, "b1") == appended[3]
    assert event_store.event_by_id(tx.connection, "b9") is None
    assert event_store.version_of(tx.connection, "b") == 3
    assert event_store.version_of(tx.connection, "c") == 0
    assert event_store.last_position(tx.connection) == 6
    assert event_store.find_faults(tx.connection) == []


def test_a_repetition_returns_the_original_whatever_it_expects(tx: Transaction) -> None:
    original = event_store.append(tx, event(), 10, expected_version=0).event
    event_store.append(tx, event(event_id="e2"), 11)
    again = event_store.append(tx, event(correlation_id="other"), 12, expected_version=0)
    assert again == Appended(original, replayed=True)
    assert event_store.version_of(tx.connection, "s") == 2


@pytest.mark.parametrize(
    "other",
    [event(data=b"[]"), event(type="other"), replace(event(), schema_version=2), event("t")],
)
def test_an_id_used_for_something_else_is_a_conflict(tx: Transaction, other: NewEvent) -> None:
    event_store.append(tx, event(), 10)
    with pytest.raises(Rejection) as refused:
        event_store.append(tx, other, 11)
    assert refused.value.code == "event-id-conflict"


def test_an_unexpected_version_is_a_conflict_that_names_the_current_one(tx: Transaction) -> None:
    event_store.append(tx, event(), 10)
    for expected in (0, 2):
        with pytest.raises(Rejection) as refused:
            event_store.append(tx, event(event_id="e2"), 11, expected_version=expected)
        assert refused.value.code == "version-conflict"
        assert refused.value.details == {"current_version": 1, "expected_version": expected}
    assert event_store.append(tx, event(event_id="e2"), 11, expected_version=1).event.version == 2


def test_a_clock_that_goes_back_never_makes_a_stream_go_back(tx: Transaction) -> None:
    times = [
        event_store.append(tx, event(event_id=str(ms)), ms).event.recorded_at_ms
        for ms in (100, 50, 101)
    ]
    assert times == [100, 100, 101]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = x'00'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT * FROM events",
    ],
)
def test_the_log_only_grows(tx: Transaction, statement: str) -> None:
    event_store.append(tx, event(), 10)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        tx.connection.execute(statement)


def test_the_verifier_finds_what_was_tampered_with(tx: Transaction) -> None:
    for number in range(3):
        event_store.append(tx, event(event_id=str(number)), number)
        event_store.append(tx, event("t", event_id=f"t{number}"), number)
    tx.connection.execute("DROP TRIGGER events_are_not_deleted")
    tx.connection.execute("DROP TRIGGER events_are_not_updated")
    tx.connection.execute("DELETE FROM events WHERE stream = 's' AND version = 2")
    tx.connection.execute("UPDATE events SET recorded_at_ms = 0 WHERE stream='t' AND version = 3")
    assert event_store.find_faults(tx.connection) == [
        "s: versions have a gap",
        "t: version 3 is older than its predecessor",
    ]
    with pytest.raises(AssertionError, match="gap"):
        event_store.load_stream(tx.connection, "s")


async def test_in_one_group_each_append_sees_the_ones_before_it(tmp_path: Path) -> None:
    def appending(number: int) -> Callable[[Transaction], Appended]:
        return lambda tx: event_store.append(tx, event(event_id=f"e{number}"), number)

    disk = production_host(tmp_path).disk
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        answers = await database.write_all([appending(number) for number in (1, 2, 2, 3)])
        assert [(a.event.version, a.replayed) for a in answers if isinstance(a, Appended)] == [
            (1, False),
            (2, False),
            (2, True),
            (3, False),
        ]
        assert len(await database.read(lambda c: event_store.load_stream(c, "s"))) == 3
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            await database.write(
                lambda tx: tx.connection.execute(
                    "INSERT OR REPLACE INTO events SELECT * FROM events"
                )
            )


_ids = st.sampled_from("abcdef")
_appends = st.tuples(
    st.sampled_from("st"),
    _ids,
    st.sampled_from([b"1", b"2"]),
    st.none() | st.integers(0, 4),
    st.integers(0, 100),
)


@given(st.lists(_appends, max_size=30))
def test_any_sequence_of_appends_keeps_the_laws(
    appends: list[tuple[str, str, bytes, int | None, int]],
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    tx = Transaction(connection)
    model: dict[str, tuple[str, bytes]] = {}
    versions = {"s": 0, "t": 0}
    for stream, event_id, data, expected, now_ms in appends:
        try:
            done = event_store.append(
                tx, event(stream, event_id, data), now_ms, expected_version=expected
            )
        except Rejection as refused:
            known = model.get(event_id)
            if refused.code == "event-id-conflict":
                assert known is not None
                assert known != (stream, data)
            else:
                assert known is None
                assert expected != versions[stream]
        else:
            assert done.replayed == (event_id in model)
            if not done.replayed:
                versions[stream] += 1
            model[event_id] = (stream, data)
    assert event_store.find_faults(connection) == []
    assert {e.event_id: (e.stream, e.data) for e in event_store.load_all(connection)} == model
    connection.close()


def test_a_page_of_the_log_costs_the_same_wherever_it_is(tx: Transaction) -> None:
    for number in range(10_000):
        event_store.append(tx, event(f"s{number // 5}", f"e{number}"), number)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def cost(look: Callable[..., list[event_store.StoredEvent]], position: int) -> int:
        nonlocal steps
        steps = 0
        assert len(look(tx.connection, position, 100)) == 100
        return steps

    tx.connection.set_progress_handler(count, 1)  # called for each instruction of SQLite's machine
    after = {cost(event_store.load_all, position) for position in range(0, 9901, 900)}
    assert len(after) == 1
    assert max(after) < 100 * 20, "nothing is read but the page"
