"""Who goes alone, who goes together, and what becomes of those that wait."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio
import httpx
import pytest

from actors.batch import PARTS_MAX, PATH
from actors.batching import BYTES_MAX, BatchingClient
from actors.service_client import ServiceClient
from runtime import tracing
from tests.harness.waiting import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Service:
    """Keeps requests until it is told how to answer them."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self._answers: dict[int, httpx.Response | Exception] = {}
        self._answered = anyio.Event()

    async def take(self, request: httpx.Request) -> httpx.Response:
        number = len(self.asked)
        self.asked.append(request)
        while number not in self._answers:
            await self._answered.wait()
        answer = self._answers[number]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, number: int, answer: httpx.Response | Exception | None = None) -> None:
        """Answer a request; as a batch is answered where nothing else is given."""
        told = [{"status": 200, "body": part["target"]} for part in self.parts(number)]
        self._answers[number] = answer or httpx.Response(200, json=told)
        event, self._answered = self._answered, anyio.Event()
        event.set()

    def parts(self, number: int) -> list[dict[str, object]]:
        """Return what a request carries."""
        content = json.loads(self.asked[number].content or b"[]")
        return content if isinstance(content, list) else []

    def targets(self) -> list[object]:
        """Return what was asked for, in order; of a batch, all of it."""
        return [
            [part["target"] for part in self.parts(number)]
            if request.url.path == PATH
            else request.url.raw_path.decode()
            for number, request in enumerate(self.asked)
        ]


class Callers:
    """Asks in tasks of their own, and keeps what they are told."""

    def __init__(self, client: BatchingClient, tasks: anyio.abc.TaskGroup) -> None:
        self.told: dict[str, object] = {}
        self._client = client
        self._tasks = tasks

    def of(self, tasks: anyio.abc.TaskGroup) -> "Callers":
        """Return others, whose tasks are in this group."""
        return Callers(self._client, tasks)

    async def ask(self, *names: str, body: bytes | None = None, timeout_s: float = 10.0) -> None:
        """Begin to ask: to read, or with a body to change something."""
        for name in names:
            self._tasks.start_soon(self._ask, name, body, timeout_s)
            await anyio.wait_all_tasks_blocked()

    async def _ask(self, name: str, body: bytes | None, timeout_s: float) -> None:
        try:
            answer = await self._client.request(
                "GET" if body is None else "POST",
                f"/{name}",
                token="t",
                body=body,
                params={"n": ("1", "2")},
                timeout_s=timeout_s,
            )
        except httpx.TransportError as error:
            self.told[name] = type(error)
        else:
            self.told[name] = answer.status_code, answer.content


@asynccontextmanager
async def _stage() -> AsyncIterator[tuple[Service, Callers, anyio.CancelScope]]:
    service = Service()
    transport = httpx.MockTransport(service.take)
    async with aclosing(ServiceClient("http://orders", transport)) as http:
        client = BatchingClient(http)
        owner = anyio.CancelScope()

        async def own() -> None:
            with owner:
                await client.run()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(own)
            await anyio.wait_all_tasks_blocked()
            yield service, Callers(client, tasks), owner
            tasks.cancel_scope.cancel()


async def test_two_go_by_themselves_and_those_behind_them_go_together() -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b", "c", "d", "e")
        assert service.targets() == ["/a?n=1&n=2", "/b?n=1&n=2"]
        service.answer(0, httpx.Response(200, content=b"A"))
        await until(lambda: len(service.asked) == 3)
        assert service.targets()[2] == ["/c?n=1&n=2", "/d?n=1&n=2", "/e?n=1&n=2"]
        await callers.ask("f")  # again two are out
        service.answer(2)
        await until(lambda: len(service.asked) == 4)
        assert service.targets()[3] == ["/f?n=1&n=2"]
        service.answer(3)
        service.answer(1, httpx.Response(200, content=b"B"))
        await until(lambda: len(callers.told) == 6)
        assert callers.told["a"] == (200, b"A")
        assert callers.told["d"] == (200, b'"/d?n=1&n=2"')
        await callers.ask("g")  # nobody is out
        assert service.targets()[4] == "/g?n=1&n=2"


async def test_what_reads_does_not_wait_for_what_changes_something() -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b", "c", body=b'{"x":1}')
        await callers.ask("d")
        assert service.targets() == ["/a?n=1&n=2", "/b?n=1&n=2", "/d?n=1&n=2"]
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 4)
        (part,) = service.parts(3)
        assert (part["method"], part["body"]) == ("POST", {"x": 1})
        assert service.asked[3].headers["Authorization"] == "Bearer t"


async def test_each_part_names_its_own_trace() -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b")
        tracing.follow(TRACE, "a=1")
        await callers.ask("c")
        tracing.follow(None)
        await callers.ask("d")
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 3)
        traces = [(part.get("traceparent"), part.get("tracestate")) for part in service.parts(2)]
        assert traces == [(TRACE, "a=1"), (None, None)]
        assert "traceparent" not in service.asked[2].headers


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.ConnectError("refused"), httpx.ConnectError),
        (httpx.ReadTimeout("late"), httpx.ReadTimeout),
        (httpx.Response(503, content=b"{}"), (503, b"{}")),
        (httpx.Response(401, content=b"{}"), (401, b"{}")),
        (httpx.Response(408, content=b"{}"), httpx.RemoteProtocolError),
        (httpx.Response(413, content=b"{}"), httpx.RemoteProtocolError),
        (httpx.Response(200, content=b"["), httpx.RemoteProtocolError),
        (httpx.Response(200, json=[]), httpx.RemoteProtocolError),
        (httpx.Response(200, json=[{"status": 200}]), httpx.RemoteProtocolError),
    ],
)
async def test_what_becomes_of_a_batch_is_told_to_all_of_it(
    answer: httpx.Response | Exception, told: object
) -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b", "c", "d")
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 3)
        service.answer(2, answer)
        await until(lambda: len(callers.told) == 3)
        assert callers.told["c"] == callers.told["d"] == told


async def test_parts_are_answered_apart() -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b", "c", "d", "e")
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 3)
        told = [
            {"status": 204, "body": None},
            {"status": 409, "body": {"code": "no"}},
            {"status": 503, "body": {}, "retry_after": "7"},
        ]
        service.answer(2, httpx.Response(200, json=told))
        await until(lambda: len(callers.told) == 4)
        assert callers.told["c"] == (204, b"")
        assert callers.told["d"] == (409, b'{"code":"no"}')
        assert callers.told["e"] == (503, b"{}")


async def test_who_is_not_sent_in_time_is_told_and_who_has_left_is_not_sent() -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b")
        await callers.ask("late", timeout_s=0.01)
        with anyio.CancelScope() as leaving:
            async with anyio.create_task_group() as tasks:
                await callers.of(tasks).ask("gone")
                leaving.cancel()
        await until(lambda: callers.told == {"late": httpx.PoolTimeout})
        await callers.ask("c")
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 3)
        assert service.targets()[2] == ["/c?n=1&n=2"]


async def test_a_batch_is_no_larger_than_what_is_taken() -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b")
        await callers.ask(*(f"c{number}" for number in range(PARTS_MAX + 1)))
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 3)
        assert len(service.parts(2)) == PARTS_MAX
        service.answer(2)
        await until(lambda: len(service.asked) == 4)
        assert len(service.parts(3)) == 1


async def test_large_ones_go_in_several_batches() -> None:
    large = json.dumps("x" * (BYTES_MAX // 2)).encode()
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b", "c", "d", "e", body=large)
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 3)
        assert service.targets()[2] == ["/c?n=1&n=2"]
        service.answer(2)
        await until(lambda: len(service.asked) == 4)
        assert service.targets()[3] == ["/d?n=1&n=2"]


async def test_what_is_too_large_for_a_batch_goes_alone() -> None:
    async with _stage() as (service, callers, _):
        await callers.ask("a", "b", body=b"{}")
        await callers.ask("c", body=json.dumps("x" * BYTES_MAX).encode())
        assert service.targets() == ["/a?n=1&n=2", "/b?n=1&n=2", "/c?n=1&n=2"]


async def test_at_its_end_all_that_wait_are_told_and_the_next_go_by_themselves() -> None:
    async with _stage() as (service, callers, owner):
        await callers.ask("a", "b", "c", "d")
        service.answer(0, httpx.Response(200))
        await until(lambda: len(service.asked) == 3)
        await callers.ask("e")
        owner.cancel()
        await until(lambda: len(callers.told) == 4)
        assert [callers.told[name] for name in "cd"] == [httpx.CloseError] * 2  # who knows?
        assert callers.told["e"] == httpx.ConnectError  # never sent
        await callers.ask("f", "g")
        assert service.targets()[3:] == ["/f?n=1&n=2", "/g?n=1&n=2"]
