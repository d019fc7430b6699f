"""A look into what waits shows types, lanes and ages, made safe to print, and nothing else."""

from pathlib import Path

import msgspec

from runtime import outbox
from runtime.actor import ActorRef
from runtime.database import open_database
from runtime.host import production_host
from runtime.jobs import Job, Told
from runtime.lanes import Lanes
from runtime.message import Message
from runtime.waiting import WAITING_SHOWN, Waiting, in_lanes, in_mailbox, in_outbox

FORGED = "ada@example.org\nforged"


class SetClock:
    def wall(self) -> float:
        return 1000.0

    def monotonic(self) -> float:
        return 0.0


def message(number: int, type_: str = "order-created/v1") -> Message:
    return Message(
        message_id=f"evt_{number}",
        type=type_,
        body=b'{"name":"Ada"}',
        correlation_id="cor_1",
        app_id="order-service",
        timestamp=990 + number,
    )


async def test_the_lanes_show_jobs_and_work_of_their_own() -> None:
    lanes: Lanes[Job | Told] = Lanes(lanes=2, capacity=64, key=lambda item: item.key, key_max=64)

    async def nothing() -> None:
        return

    lanes.put_nowait(Job("ord_1", message(0), None))
    lanes.put_nowait(Told("ord_2", nothing))
    lanes.put_nowait(Job(FORGED, message(4, FORGED), None))
    lanes.put_nowait(Job("ord_3", message(99), None))
    safe = "[e-mail]\\nforged"
    assert in_lanes(lanes, SetClock()) == [
        Waiting("order-created/v1", "ord_1", "waiting", 10.0),
        Waiting("work of its own", "ord_2", "waiting", None),
        Waiting(safe, safe, "waiting", 6.0),
        Waiting("order-created/v1", "ord_3", "waiting", 0.0),
    ]
    for number in range(WAITING_SHOWN):
        lanes.put_nowait(Job("ord_4", message(number), None))
    assert len(in_lanes(lanes, SetClock())) == WAITING_SHOWN


async def test_a_mailbox_shows_what_was_told_without_an_age() -> None:
    ref: ActorRef[str] = ActorRef("some")
    ref.tell("a")
    assert in_mailbox(ref, lambda text: (f"type {text}", "lane"), 5.0) == [
        Waiting("type a", "lane", "waiting", None)
    ]
    assert ref.statistics().depth == 1


async def test_the_outbox_shows_its_oldest_rows(tmp_path: Path) -> None:
    disk = production_host(tmp_path).disk
    async with open_database(disk, "some.db", (outbox.SCHEMA,)) as database:
        for number in range(WAITING_SHOWN + 1):
            sent = msgspec.structs.replace(message(number), timestamp=995)
            await database.write(
                lambda tx, sent=sent, number=number: outbox.enqueue(
                    tx, f"ord_{number}", "orders", "order-created", sent
                )
            )
        rows = await database.read(lambda connection: in_outbox(connection, 1000.0))
    assert rows[0] == Waiting("order-created/v1", "ord_0", "waiting", 5.0)
    assert [row.lane for row in rows] == [f"ord_{n}" for n in range(WAITING_SHOWN)]
