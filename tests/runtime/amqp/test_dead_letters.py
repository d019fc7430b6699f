"""Parked messages: looking loses none, giving back is confirmed and marked."""

from datetime import UTC, datetime

import anyio
import pytest

from runtime.amqp.dead_letters import DeadLetter, DeadLetters, Wanted
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.errors import BrokerLost
from runtime.host import Host
from runtime.message import Message
from runtime.telemetry import Telemetry
from tests.harness.peer import Peer, peer_at
from tests.harness.running import running
from tests.harness.waiting import eventually

QUORUM = {"x-queue-type": "quorum"}


async def _bury(
    peer: Peer, message_id: str, name: str = "order-created", **headers: object
) -> None:
    await peer.put(
        "payment.dead",
        b'{"n": 1}',
        message_id=message_id,
        message_type=f"{name}/v1",
        correlation_id="req_1",
        app_id="tests",
        content_type="application/json",
        timestamp=datetime.fromtimestamp(1_700_000_000, UTC),
        headers=headers,
    )


async def find(letters: DeadLetters, wanted: Wanted) -> list[DeadLetter]:
    (seen,) = await letters.look([wanted])
    return seen.letters


async def show(letters: DeadLetters, message_id: str) -> Message | None:
    (seen,) = await letters.look([Wanted((message_id,), max=1)])
    return seen.first


def _ids(letters: list[DeadLetter]) -> list[str]:
    return [letter.id for letter in letters]


async def test_parked_messages_are_found_given_back_and_thrown_away(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = Link(broker_url, "consume", host, telemetry)
    letters = DeadLetters(link, LinkPublisher(link, telemetry), "payment", anyio.Lock())
    past = {
        "x-reason": "exhausted",
        "x-error": "Unavailable",
        "x-parked-at": 17,
        "x-requeued": True,
    }
    async with peer_at(broker_url) as peer, running(link.run):
        for queue in ("payment", "payment.dead"):
            await peer.queue(queue, QUORUM)
        await _bury(peer, "evt_1", **past, **{"x-attempt": 10, "x-order-correlation": "cor_1"})
        await _bury(peer, "evt_2", "order-cancelled", **{"x-replayed": True})
        await peer.put("payment.dead", b"\xff not readable")
        await link.session()

        first = await find(letters, Wanted())
        assert await find(letters, Wanted()) == first, "looking again finds the same"
        assert _ids(first)[:2] == ["evt_1", "evt_2"]
        assert (first[0].reason, first[0].error, first[0].attempts) == (
            *("exhausted", "Unavailable"),
            10,
        )
        assert [letter.returned for letter in first] == [False, True, False]
        assert _ids(await find(letters, Wanted(type="order-cancelled"))) == ["evt_2"]
        assert _ids(await find(letters, Wanted(max=1))) == ["evt_1"]
        shown = await show(letters, first[2].id)
        assert shown is not None
        assert shown.body == b"\xff not readable"
        assert await show(letters, "evt_none") is None
        questions = [Wanted(("evt_2",)), Wanted(max=2), Wanted(type="shipped"), Wanted(max=0)]
        together = await letters.look(questions)
        assert [_ids(seen.letters) for seen in together] == [
            *(["evt_2"], ["evt_1", "evt_2"], [], []),
        ]

        assert _ids(await letters.replay(Wanted(("evt_1",)))) == ["evt_1"]
        back = await eventually(lambda: peer.get("payment"))
        assert back.header.properties.message_id == "evt_1"
        headers = back.header.properties.headers
        assert headers is not None
        headers.pop("x-delivery-count", None)  # RabbitMQ's own
        assert headers == {"x-replayed": True, "x-order-correlation": "cor_1"}
        assert _ids(await letters.discard(Wanted(("evt_2",)))) == ["evt_2"]
        assert _ids(await find(letters, Wanted())) == [first[2].id]
        assert await peer.ready("payment") == 0


async def test_what_cannot_be_published_stays_parked(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = Link(broker_url, "consume", host, telemetry)
    nowhere = Link(broker_url, "publish", host, telemetry)  # it never runs
    publisher = LinkPublisher(nowhere, telemetry, deadline_s=0.05)
    letters = DeadLetters(link, publisher, "payment", anyio.Lock())
    async with peer_at(broker_url) as peer, running(link.run):
        await peer.queue("payment.dead", QUORUM)
        await _bury(peer, "evt_1")
        await link.session()
        with pytest.raises(BrokerLost):
            await letters.replay(Wanted())
        assert _ids(await find(letters, Wanted())) == ["evt_1"]


async def test_without_a_broker_nobody_waits(host: Host, telemetry: Telemetry) -> None:
    link = Link("amqp://guest:guest@127.0.0.1:1/", "consume", host, telemetry)
    letters = DeadLetters(link, LinkPublisher(link, telemetry), "payment", anyio.Lock())
    with pytest.raises(BrokerLost, match="not connected"):
        await find(letters, Wanted())
