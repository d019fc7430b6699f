"""Which part of an order's way a piece of code belongs to, for the CPU budget.

A sample of the stack counts for the innermost frame that a row below knows: what telemetry costs
inside a consumer is telemetry's. Frames that no row knows (the standard library's) count for who
called them; what nobody called is the event loop's own. A thread is seen when it gives way to the
main one: short work of it counts for where it waits, which is *group commit* for most.
"""

from types import CodeType, FrameType

LOOP = "event loop"
THREADS = "threads that write files"
# The first row that matches decides. A row: a part of the file's path, functions (any if empty).
ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("telemetry", "/runtime/telemetry.py", ()),
    ("telemetry", "/structlog/", ()),
    ("HTTP", "/quart/", ()),
    ("HTTP", "/werkzeug/", ()),
    ("HTTP", "/hypercorn/", ()),
    ("HTTP", "/h11/", ()),
    ("HTTP", "/runtime/http", ()),
    ("HTTP", "/actors/gateway/", ()),
    ("COMMIT", "/runtime/transaction.py", ("commit",)),
    ("outbox: rows read and removed", "/runtime/outbox_rows.py", ("look", "remove", "count")),
    ("append", "/runtime/outbox.py", ("enqueue",)),
    ("append", "/runtime/stored.py", ()),
    ("append", "/runtime/staged.py", ()),
    ("append", "/runtime/event_store.py", ("append", "add", "_head", "event_by_id")),
    ("fold", "/runtime/event_store.py", ()),
    ("fold", "/actors/order_events/stream.py", ()),
    ("fold", "/actors/domain/order.py", ()),
    ("append", "/actors/order_events/", ()),
    ("append", "/actors/domain/", ()),
    ("publish", "/runtime/outbox.py", ()),
    ("publish", "/runtime/amqp/publisher.py", ()),
    ("publish", "/runtime/amqp/confirms.py", ()),
    ("publish", "/runtime/amqp/wire.py", ("encode_publish", "encode_properties", "_short")),
    ("delivery", "/runtime/amqp/", ()),
    ("delivery", "/aiormq/", ()),
    ("delivery", "/pamqp/", ()),
    ("inbox and lanes", "/runtime/inbox.py", ()),
    ("inbox and lanes", "/runtime/hold.py", ()),
    ("inbox and lanes", "/runtime/lanes.py", ()),
    ("inbox and lanes", "/runtime/service.py", ()),
    ("inbox and lanes", "/runtime/jobs.py", ()),
    ("inbox and lanes", "/runtime/message_report.py", ()),
    ("asks", "/runtime/actor.py", ()),
    ("asks", "/runtime/mailbox.py", ()),
    ("asks", "/runtime/deadlines.py", ()),
    ("group commit", "/runtime/database.py", ()),
    ("group commit", "/runtime/transaction.py", ()),
    ("group commit", "/runtime/groups.py", ()),
    ("group commit", "/runtime/sqlite", ()),
    ("group commit", "/aiosqlite/", ()),
    ("payment, with its provider", "/actors/payment/", ()),
    ("shipping, with its carrier", "/actors/shipping/", ()),
    ("notification, with its mails", "/actors/notification/", ()),
)

_known: dict[CodeType, str] = {}


def stage_of(frame: FrameType | None, otherwise: str = LOOP) -> str:
    """Return the stage of a stack, given by its innermost frame; ``otherwise`` if no row has it."""
    while frame is not None:
        code = frame.f_code
        stage = _known.get(code)
        if stage is None:
            stage = _known[code] = _look_up(code.co_filename, code.co_name)
        if stage:
            return stage
        frame = frame.f_back
    return otherwise


def _look_up(path: str, function: str) -> str:
    for stage, part, functions in ROWS:
        if part in path and (not functions or function in functions):
            return stage
    return ""
