"""The inbox decides by its table, and by nothing else."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import duplicates, hold, inbox
from runtime.child import ChildContext
from runtime.database import open_database
from runtime.host import production_host
from runtime.inbox import Claim, Claimed, Duplicate, Retention, Settled, Superseded
from runtime.message import Message
from runtime.transaction import Transaction
from tests.harness.waiting import until


def message(message_id: str = "m", **headers: str | int | bool) -> Message:
    return Message(
        message_id=message_id,
        type="happened/v1",
        body=b"{}",
        correlation_id="c",
        app_id="a",
        timestamp=1,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


FIRST = message()
RETRY = message(x_requeued=True, x_attempt=2)
REPLAY = message(x_replayed=True)


def fresh_tx() -> Transaction:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(inbox.SCHEMA + hold.SCHEMA)
    return Transaction(connection)


@pytest.fixture
def tx() -> Transaction:
    return fresh_tx()


def claimed(answer: Claimed | Duplicate) -> Claimed:
    assert isinstance(answer, Claimed)
    return answer


def put_into(tx: Transaction, state: str | None, incarnation: str) -> None:
    if state is None:
        return
    mine = claimed(inbox.claim(tx, FIRST, incarnation, 1))
    mine = inbox.complete_step(tx, mine, "step", b"1", 1)
    if state == "held":
        inbox.mark_held(tx, mine, 1)
    elif state in ("done", "requeued", "parked"):
        inbox.settle(tx, mine, state, 1, attempt=7)  # type: ignore[arg-type]


# (row, delivery) -> None for a duplicate, else (attempt, completed steps, resumed).
DECISIONS = {
    (None, "first"): (0, {}, False),
    (None, "retry"): (2, {}, False),
    (None, "replay"): (0, {}, False),
    ("claimed", "first"): (0, {"step": b"1"}, True),
    ("claimed", "retry"): (2, {"step": b"1"}, True),
    ("claimed", "replay"): (0, {"step": b"1"}, True),
    ("held", "first"): None,
    ("held", "retry"): None,
    ("held", "replay"): None,
    ("requeued", "first"): None,
    ("requeued", "retry"): (7, {"step": b"1"}, True),
    ("requeued", "replay"): (7, {"step": b"1"}, True),
    ("done", "first"): None,
    ("done", "retry"): None,
    ("done", "replay"): None,
    ("parked", "first"): None,
    ("parked", "retry"): None,
    ("parked", "replay"): (0, {"step": b"1"}, True),
}
DELIVERIES = {"first": FIRST, "retry": RETRY, "replay": REPLAY}


@pytest.mark.parametrize("earlier", ["this incarnation", "one that died"])
@pytest.mark.parametrize(("row", "delivery"), DECISIONS)
def test_each_decision(tx: Transaction, row: str | None, delivery: str, earlier: str) -> None:
    now = "this incarnation"
    put_into(tx, row, earlier)
    answer = inbox.claim(tx, DELIVERIES[delivery], now, 2)
    expected = DECISIONS[row, delivery]
    if expected is None:
        assert answer == Duplicate("m", row)  # type: ignore[arg-type]
        return
    attempt, steps, resumed = expected
    assert answer == Claimed("m", now, attempt, steps, resumed)
    assert inbox.states_of(tx.connection, ["m", "other"]) == {"m": "claimed"}


def test_the_table_has_an_answer_for_every_case() -> None:
    cases = [(row, kind) for row, verdicts in inbox.VERDICTS.items() for kind in verdicts]
    assert len(cases) == len(DECISIONS)


def test_a_superseded_claim_writes_nothing(tx: Transaction) -> None:
    old = claimed(inbox.claim(tx, FIRST, "old", 1))
    new = claimed(inbox.claim(tx, FIRST, "new", 2))
    with pytest.raises(Superseded):
        inbox.complete_step(tx, old, "step", b"", 3)
    with pytest.raises(Superseded):
        inbox.settle(tx, old, "requeued", 3)
    inbox.settle(tx, new, "done", 3)
    with pytest.raises(Superseded):
        inbox.settle(tx, new, "requeued", 4)
    assert inbox.states_of(tx.connection, ["m"]) == {"m": "done"}


def test_what_is_done_keeps_no_results(tx: Transaction) -> None:
    put_into(tx, "done", "i")
    assert tx.connection.execute("SELECT steps FROM inbox").fetchall() == [(None,)]


def test_only_old_done_messages_are_forgotten_a_few_at_a_time(tx: Transaction) -> None:
    for number in range(10):
        mine = claimed(inbox.claim(tx, message(f"m{number}"), "i", number))
        if number != 3:
            inbox.settle(tx, mine, "done", number)
    assert inbox.purge_done(tx, before_ms=8, limit=5) == 5
    assert inbox.purge_done(tx, before_ms=8, limit=5) == 2
    assert inbox.purge_done(tx, before_ms=8, limit=5) == 0
    left = [row for (row,) in tx.connection.execute("SELECT message_id FROM inbox")]
    assert left == ["m3", "m8", "m9"]


async def test_a_step_completed_before_a_crash_is_known_after_it(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    async with open_database(host.disk, "a.db", [inbox.SCHEMA, duplicates.SCHEMA]) as database:
        first = await database.write(lambda tx: claimed(inbox.claim(tx, FIRST, "one", 1)))
        claim = Claim(database, first, host.clock.wall)
        assert (claim.attempt, claim.resumed, claim.completed) == (0, False, {})
        await claim.complete("charge", b'{"id":"ch_1"}')
        await claim.complete("mail")
        assert claim.completed == {"charge": b'{"id":"ch_1"}', "mail": b""}
    async with open_database(host.disk, "a.db", [inbox.SCHEMA, duplicates.SCHEMA]) as database:
        again = await database.write(lambda tx: claimed(inbox.claim(tx, FIRST, "two", 2)))
        assert Claim(database, again, host.clock.wall).completed == claim.completed
        with pytest.raises(Superseded):
            await Claim(database, first, host.clock.wall).complete("late")


async def test_retention_forgets_old_done_messages_batch_by_batch(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    now_ms = int(host.clock.wall() * 1000)
    hour_ms = 3_600_000

    def finish(tx: Transaction) -> None:
        for number in range(30):
            mine = claimed(inbox.claim(tx, message(f"m{number}"), "i", 1))
            age_ms = 2 * hour_ms if number < 25 else 0
            inbox.settle(tx, mine, "done", now_ms - age_ms)

    async with open_database(host.disk, "a.db", [inbox.SCHEMA, duplicates.SCHEMA]) as database:
        await database.write(finish)
        context = ChildContext("retention")
        child = Retention(database, host.clock, hour_ms / 1000, batch_max=10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child.run, context)
            await until(lambda: database.statistics().groups == 4)
            context.stopping.set()
        left = await database.read(
            lambda c: c.execute("SELECT message_id FROM inbox ORDER BY message_id").fetchall()
        )
    assert left == [(f"m{number}",) for number in range(25, 30)]


_happenings = st.lists(
    st.sampled_from(
        ["deliver", "duplicate", "retry copy", "step", "crash", "done", "requeue", "park", "replay"]
    ),
    max_size=40,
)


@given(_happenings)
def test_effects_happen_once_however_messages_are_delivered(happenings: list[str]) -> None:
    """A model of a consumer: its effect and its step are one, so the effect must happen once."""
    tx = fresh_tx()
    incarnation, effects, copies = 1, 0, 0
    work: Claimed | None = None
    finished = False

    def begin(delivery: Message) -> Claimed | None:
        answer = inbox.claim(tx, delivery, str(incarnation), 1)
        assert not (finished and isinstance(answer, Claimed)), "worked on after it was done"
        return answer if isinstance(answer, Claimed) else None

    moves: dict[str, Callable[[], Claimed | None]] = {
        "deliver": lambda: begin(FIRST),
        "duplicate": lambda: begin(FIRST),
        "replay": lambda: begin(REPLAY),
        "retry copy": lambda: begin(FIRST.as_retry(copies)) if copies else None,
    }
    for happening in happenings:
        if happening == "crash":
            incarnation, work = incarnation + 1, None
        elif work is None:
            work = moves[happening]() if happening in moves else None
        elif happening == "step" and "effect" not in work.steps:
            effects += 1
            work = inbox.complete_step(tx, work, "effect", b"", 1)
        elif happening == "done" and "effect" in work.steps:
            inbox.settle(tx, work, "done", 1)
            work, finished = None, True
        elif happening == "requeue":
            copies = work.attempt + 1
            inbox.settle(tx, work, "requeued", 1, attempt=copies)
            work = None
        elif happening == "park":
            inbox.settle(tx, work, "parked", 1)
            work = None
        assert effects <= 1
    tx.connection.close()


@pytest.mark.parametrize(("state", "kept"), [("done", 1), ("requeued", 0), ("parked", 0)])
def test_what_is_left_for_the_end_is_done_only_with_it(
    tx: Transaction, state: Settled, kept: int
) -> None:
    mine = claimed(inbox.claim(tx, FIRST, "one", 1))
    tx.connection.execute("CREATE TABLE notes (note)")
    inbox.settle(
        tx, mine, state, 2, last=[lambda tx: tx.connection.execute("INSERT INTO notes VALUES (1)")]
    )
    assert tx.connection.execute("SELECT count(*) FROM notes").fetchone() == (kept,)
