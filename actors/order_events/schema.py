"""The tables of the order store: one file, because one transaction needs one file.

Each entry leads from one schema version to the next; an entry that was released never changes.
"""

from actors.order_events import erasures, idempotency, order_list, vault
from runtime import audit, event_log, event_store, outbox

ORDER_NUMBERS = """
CREATE TABLE order_number (next INTEGER NOT NULL);
INSERT INTO order_number VALUES (1001);
"""

MIGRATIONS: tuple[str, ...] = (
    event_store.SCHEMA
    + outbox.SCHEMA
    + vault.SCHEMA
    + order_list.SCHEMA
    + idempotency.SCHEMA
    + ORDER_NUMBERS,
    audit.SCHEMA,
    erasures.SCHEMA,
    event_log.INDEX,
    event_store.TRACESTATE,
)
