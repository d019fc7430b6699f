"""What the console calls a problem, and what it does not."""

import msgspec

from actors.domain.operating import Figures
from actors.gateway.console.backstage import Asked, LinkShown, ProcessStatus
from actors.gateway.console.letters import Heap
from actors.gateway.console.troubles import Snapshot, troubles
from runtime.amqp.dead_letters import DeadLetter
from runtime.node import NodeStatus
from runtime.outbox import RelayStatistics
from runtime.sampling import Samples

CHILD = NodeStatus("http-gateway", "child", None, "running", 0, None)
ROOT = NodeStatus("ordermill", "supervisor", "one_for_one", "running", 0, None, (CHILD,))
LINK = LinkShown("publish", "connected", 10.0, "")
LETTER = DeadLetter(
    "evt_1", "payment", "order-created/v1", "exhausted", "Unavailable", 10, 0, False, "req_1", 9
)
FIGURES = Figures(
    total=3, placed_last_minute=0, late=0, late_s=300, by_status={}, measured=0, p50_ms=None,
    p99_ms=None,
)  # fmt: skip
RELAY = RelayStatistics(0, 0.0, 0, 0, 3, None)
WELL = Snapshot(
    own=ProcessStatus(ROOT, [LINK]),
    statuses={"payment": Asked(ProcessStatus(ROOT, [LINK]))},
    heaps={"payment": Asked(Heap(0, []))},
    figures=Asked(FIGURES),
    outbox=Asked(RELAY),
    outbox_warn_s=30.0,
)


def told(**changes: object) -> list[tuple[str, str]]:
    """Return the problems of a system where all is well, but for these."""
    seen = msgspec.structs.replace(WELL, **changes)
    return [(trouble.what, trouble.path) for trouble in troubles(seen)]


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert told() == []
    late = RelayStatistics(5, 29.9, 5, 0, 3, None)
    assert told(outbox=Asked(late)) == [], "not late yet"


def test_a_service_that_is_away_is_named_once() -> None:
    away: Asked[ProcessStatus] = Asked(None, "unreachable since 12:00:00 UTC")
    assert told(statuses={"payment": away}) == [("payment does not answer", "/ops/topology")]


def test_a_lost_broker_and_a_child_that_is_down_are_told_for_each_process_once() -> None:
    lost = LinkShown("publish", "reconnecting", 75.0, "Connection refused")
    down = msgspec.structs.replace(CHILD, state="restarting", last_error="KeyError")
    root = msgspec.structs.replace(ROOT, children=(down,))
    status = ProcessStatus(root, [lost])
    found = troubles(msgspec.structs.replace(WELL, own=status, statuses={"x": Asked(status)}))
    assert [(row.what, row.cause) for row in found] == [
        ("No broker for publish", "reconnecting for 1 min 15 s: Connection refused"),
        ("http-gateway is restarting", "KeyError"),
    ]


def test_a_parked_message_says_why_and_many_are_counted() -> None:
    one = troubles(msgspec.structs.replace(WELL, heaps={"payment": Asked(Heap(1, [LETTER]))}))
    assert [(row.what, row.cause, row.path) for row in one] == [
        (
            "payment has parked order-created/v1",
            "exhausted: Unavailable after 10 attempts",
            "/ops/dead-letters/payment/evt_1",
        )
    ]
    many = told(heaps={"payment": Asked(Heap(40, [LETTER] * 5))})
    assert many[5:] == [("payment has parked 35 more", "/ops/dead-letters?queue=payment")]
    odd = msgspec.structs.replace(LETTER, id="a/b?c", returned=True)
    assert told(heaps={"payment": Asked(Heap(1, [odd]))}) == [
        ("payment has parked order-created/v1, again", "/ops/dead-letters/payment/a%2Fb%3Fc")
    ]


def test_what_is_late_is_told() -> None:
    late = RelayStatistics(5, 30.0, 5, 0, 3, "the broker is away")
    assert told(outbox=Asked(late)) == [("5 events wait to be published", "/ops/outbox")]
    figures = msgspec.structs.replace(FIGURES, late=1)
    waits = [("1 order waits for a service of ours", "/ops/orders?idle=300")]
    assert told(figures=Asked(figures)) == waits


def test_restarts_of_the_last_hour_are_added_over_the_processes_that_tell() -> None:
    assert WELL.restarts_last_hour is None, "nobody has sampled"

    def restarted(name: str, *levels: float) -> ProcessStatus:
        child = msgspec.structs.replace(CHILD, name=name)
        root = msgspec.structs.replace(ROOT, children=(child,))
        samples = Samples(0, 10.0, [0] * len(levels), {"restarts": [*levels]}, 0.0, {})
        return ProcessStatus(root, samples=samples)

    here, there, silent = restarted("a", 5, 2), restarted("b", 1), restarted("c")
    statuses = {"x": Asked(here), "y": Asked(there), "z": Asked(silent), "away": Asked(None, "?")}
    seen = msgspec.structs.replace(WELL, own=here, statuses=statuses)
    assert seen.restarts_last_hour == 3, "the latest of each process, once"
