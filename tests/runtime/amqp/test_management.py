"""The management API as we read it: bounded, coalesced, and told where it is not there.

A real one is in ``tests/end_to_end/test_queue_figures.py``.
"""

from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest

from runtime.amqp import management
from runtime.amqp.address import Address
from runtime.amqp.depths import QueueDepth
from runtime.amqp.figures import QueueFigures
from runtime.amqp.management import Endpoint, Management
from runtime.errors import ConfigurationError

BROKER = Address.parse("amqp://shop:hunter2@mq.example/orders")
NOW_S = 1_790_000_000.0
QUEUES = [
    {
        "name": "payment",
        "messages_unacknowledged": 2,
        "head_message_timestamp": int(NOW_S) - 75,
        "message_stats": {
            "publish_details": {"rate": 1.2349},
            "deliver_get_details": {"rate": 0.0},
            "ack_details": {"rate": 3},
            "redeliver_details": {"rate": 9.0},
        },
        "state": "running",
    },
    {"name": "payment.dead", "head_message_timestamp": "", "message_stats": {}},
]
NODES = [
    {"name": "rabbit@a", "mem_alarm": True, "disk_free_alarm": False},
    {"name": "rabbit@b", "mem_alarm": False, "disk_free_alarm": True},
]

Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class SetClock:
    """A clock that is moved by hand."""

    now_s = NOW_S

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s

    def wall(self) -> float:
        """The same seconds."""
        return self.now_s


class Server:
    """Answers as RabbitMQ does; ``queues`` and ``nodes`` may be replaced."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.queues = httpx.Response(200, json=QUEUES)
        self.nodes = httpx.Response(200, json=NODES)
        self.failing: Exception | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.asked.append(request)
        if self.failing is not None:
            raise self.failing
        answer = self.nodes if request.url.path.endswith("/nodes") else self.queues
        return httpx.Response(answer.status_code, content=answer.content)


def asking(handler: Handler, clock: SetClock | None = None) -> Management:
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(handler), base_url="http://mq.example:15672"
    )
    return Management(http, ("shop", "hunter2"), "my/orders", clock or SetClock())


async def test_it_tells_rates_ages_and_alarms_and_what_it_does_not_tell_is_none() -> None:
    server = Server()
    told = await asking(server).figures()
    assert told.queues == {
        "payment": QueueFigures(
            unacked=2, in_per_s=1.23, out_per_s=0.0, acked_per_s=3.0, oldest_age_s=75.0
        ),
        "payment.dead": QueueFigures(),
    }
    assert told.alarms == ["memory of rabbit@a", "disk of rabbit@b"]
    assert told.trouble == ""
    first = server.asked[0]
    assert first.url.raw_path.startswith(b"/api/queues/my%2Forders?columns=name%2C")
    assert first.headers["authorization"] == "Basic c2hvcDpodW50ZXIy"


def test_a_queue_that_was_counted_as_empty_has_no_oldest_message() -> None:
    figures = QueueFigures(unacked=1, oldest_age_s=4.0)
    assert QueueDepth("q", 0, 1).told(figures) == QueueDepth("q", 0, 1, unacked=1)
    assert QueueDepth("q", 2, 1).told(figures) == QueueDepth("q", 2, 1, 1, oldest_age_s=4.0)
    assert QueueDepth("q", 2, 1).told(None) == QueueDepth("q", 2, 1)


async def test_many_who_ask_at_once_are_one_question_and_its_answer_is_kept_a_moment() -> None:
    clock, server = SetClock(), Server()
    asked = asking(server, clock)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(asked.figures)
    assert len(server.asked) == 2, "queues and nodes, once"
    clock.now_s += management.KEPT_S - 0.1
    await asked.figures()
    assert len(server.asked) == 2
    clock.now_s += 0.2
    await asked.figures()
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(401), "it refuses our account (401)"),
        (httpx.Response(403), "it refuses our account (403)"),
        (httpx.Response(404), "it answered 404"),
        (httpx.Response(302), "it answered 302"),
        (httpx.Response(200, content=b"<html>"), "its answer cannot be read"),
        (httpx.Response(200, content=b'[{"name": "\xff"}]'), "its answer cannot be read"),
        (httpx.Response(200, content=b"[" * 100_000), "its answer cannot be read"),
        (
            httpx.Response(200, content=b" " * (management.ANSWER_BYTES_MAX + 1)),
            "its answer is too long",
        ),
    ],
)
async def test_what_is_no_answer_is_told_with_its_time(answer: httpx.Response, reason: str) -> None:
    server = Server()
    server.queues = answer
    told = await asking(server).figures()
    assert (told.queues, told.alarms) == ({}, None)
    assert told.trouble == (
        "not available: the management API does not answer as it should since 14:13:20 UTC "
        f"({reason})"
    )


async def test_while_it_is_away_nobody_waits_for_it_again_and_again() -> None:
    clock, server = SetClock(), Server()
    server.failing = httpx.ConnectError("refused")
    asked = asking(server, clock)
    first = await asked.figures()
    assert "since 14:13:20 UTC (ConnectError)" in first.trouble
    clock.now_s += management.PAUSE_S - 0.1
    await asked.figures()
    assert len(server.asked) == 1
    clock.now_s += 0.2
    assert "since 14:13:20 UTC" in (await asked.figures()).trouble
    assert len(server.asked) == 2
    server.failing = None
    clock.now_s += management.PAUSE_S
    assert (await asked.figures()).trouble == ""
    server.failing = httpx.ReadTimeout("slow")
    clock.now_s = NOW_S + 60
    assert "since 14:14:20 UTC (ReadTimeout)" in (await asked.figures()).trouble


async def test_an_answer_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(management, "ANSWER_S_MAX", 0.01)

    async def never(_request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(5):
        told = await asking(never).figures()
    assert "(nothing within 0.01 s)" in told.trouble


async def test_an_account_that_may_not_see_nodes_still_sees_queues() -> None:
    server = Server()
    server.nodes = httpx.Response(401, json={"error": "not_authorised"})
    told = await asking(server).figures()
    assert set(told.queues) == {"payment", "payment.dead"}
    assert (told.alarms, told.trouble) == (None, "")


def test_the_brokers_account_is_used_where_none_is_given() -> None:
    endpoint = Endpoint.parse("http://mq.example:15672/rabbit/", BROKER)
    assert endpoint.base == "http://mq.example:15672/rabbit"
    assert endpoint.account == ("shop", "hunter2")
    assert "hunter2" not in repr(endpoint)
    own = Endpoint.parse("https://looks:p%40ss@mq.example", BROKER)
    assert own.base == "https://mq.example:443" or own.base == "https://mq.example"
    assert own.account == ("looks", "p@ss")


@pytest.mark.parametrize(
    "text",
    [
        *("mq.example:15672", "amqp://mq.example", "http://", "http://mq.example:port"),
        *("http://mq.example?x=hunter3", "http://looks@mq.example", "http://mq.example/#hunter3"),
        "http://looks:hunter3@mq.example:99999999",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"broker\.management_url") as refused:
        Endpoint.parse(text, BROKER)
    assert "hunter3" not in f"{refused.value} {refused.value.hint}"
