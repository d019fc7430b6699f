"""Each kind of fault is put into a file and found; a good file passes, running or not."""

import sqlite3
from pathlib import Path

import pytest

from actors.order_events.verify import Fault, Verified, open_read_only, verify
from runtime.errors import ConfigurationError, EnvironmentUnready
from runtime.host import production_host
from tests.harness.order_events import RecordingPublisher, order_events_parts
from tests.harness.shop import Shop, open_shop


async def _log(folder: Path) -> str:
    """Write two orders, one captured, whose messages still wait; return the captured one's id."""
    broker = RecordingPublisher()
    broker.down = True
    host = production_host(folder)
    async with order_events_parts(folder, host=host, publisher=broker) as parts:
        shop = Shop(parts, broker, host)
        order_id = await shop.place()
        await shop.capture(order_id)
        await shop.place()
    return order_id


def _verify(folder: Path) -> Verified:
    connection = open_read_only(folder / "orders.db")
    try:
        return verify(connection)
    finally:
        connection.close()


async def test_a_log_that_nobody_touched_is_in_order(tmp_path: Path) -> None:
    await _log(tmp_path)
    assert _verify(tmp_path) == Verified(orders=2, events=4, pending=3)


async def test_a_running_system_is_verified_too(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.place()
        assert _verify(tmp_path).orders == 1


FAULTS = {
    "UPDATE events SET version = 9 WHERE version = 3": "version 3 is missing, 9 is there",
    "UPDATE events SET position = 99 WHERE version = 2": "is older than version 2",
    "UPDATE events SET recorded_at_ms = 1 WHERE version = 2": "is older than version 1",
    "UPDATE events SET stream_correlation = 'x' WHERE version = 2": "another order correlation",
    "UPDATE events SET data = CAST('{}' AS BLOB) WHERE version = 2": "cannot be decoded",
    "UPDATE events SET schema_version = 7 WHERE version = 2": "no reader for",
    "UPDATE events SET app_id = 'shipping-service' WHERE version = 2": "may not state",
    "UPDATE events SET type = 'shipping-preparation-in-progress', app_id = 'shipping-service'"
    " WHERE version = 2": "transition-refused",
    "DELETE FROM vault WHERE kind = 'customer'": "no customer in the vault",
    "UPDATE order_list SET status = 'shipped'": "not what its events add up to",
    "DELETE FROM order_list": "not what its events add up to",
    "UPDATE outbox SET body = CAST('x' AS BLOB) WHERE key <> ''": "says something else",
    "UPDATE outbox SET exchange = 'shipping'": "goes to shipping",
    "UPDATE outbox SET key = 'ord_other'": "which is no event to publish",
    "INSERT INTO vault VALUES ('r', 'ord_0', 'customer', NULL, NULL)": "ord_0: is in vault",
}


@pytest.mark.parametrize("harm", FAULTS, ids=FAULTS.values())
async def test_a_fault_is_named(tmp_path: Path, harm: str) -> None:
    await _log(tmp_path)
    connection = sqlite3.connect(tmp_path / "orders.db")
    connection.execute("DROP TRIGGER events_are_not_updated")
    connection.execute(harm)
    connection.commit()
    connection.close()
    with pytest.raises(Fault, match=FAULTS[harm]):
        _verify(tmp_path)


async def test_an_order_that_was_taken_out_altogether_leaves_a_gap(tmp_path: Path) -> None:
    order_id = await _log(tmp_path)
    connection = sqlite3.connect(tmp_path / "orders.db")
    connection.execute("DROP TRIGGER events_are_not_deleted")
    for table, column in (
        *(("events", "stream"), ("order_list", "order_id"), ("vault", "order_id")),
        *(("outbox", "key"), ("idempotency", "order_id")),
    ):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (order_id,))
    connection.commit()
    connection.close()
    with pytest.raises(Fault, match="3 of the positions 1 to 4 are missing"):
        _verify(tmp_path)


@pytest.mark.parametrize("trigger", ["events_are_not_updated", "events_are_not_deleted"])
async def test_a_log_that_can_be_changed_is_no_log(tmp_path: Path, trigger: str) -> None:
    await _log(tmp_path)
    connection = sqlite3.connect(tmp_path / "orders.db")
    connection.execute(f"DROP TRIGGER {trigger}")
    connection.close()
    with pytest.raises(Fault, match=f"the trigger {trigger} is gone"):
        _verify(tmp_path)


async def test_what_is_no_order_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentUnready, match="no order store at"):
        open_read_only(tmp_path / "orders.db")
    (tmp_path / "orders.db").write_bytes(b"not a database at all, whatever its name says" * 99)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_read_only(tmp_path / "orders.db")
    connection = sqlite3.connect(tmp_path / "new.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="schema version 99"):
        open_read_only(tmp_path / "new.db")
