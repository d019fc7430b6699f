"""Requests to one service that travel together where many wait: see `actors.batch`.

A request that finds few others on their way goes at once, and alone. Those that come while some
are out wait, and go together once one of these is back. So who is alone waits for nobody, and the
busier the service, the less a request costs.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

import anyio
import httpx
import msgspec
from anyio.abc import TaskGroup

from actors.batch import NOTHING, PARTS_MAX, PATH, Answer, Part
from actors.service_client import Params, ServiceClient
from actors.status import BODY_BYTES_MAX
from runtime import tracing
from runtime.host import Signal, give_signal, new_signal

ALONE_MAX = 2
BYTES_MAX = BODY_BYTES_MAX - 2  # less the brackets
Method = Literal["GET", "POST", "PUT"]
_answers = msgspec.json.Decoder(list[Answer])


class _Waiting:
    """A request that waits to be sent, as a `Part` in JSON, or for its answer."""

    __slots__ = ("answer", "failure", "limit_s", "part", "told")

    def __init__(self, part: bytes, limit_s: float) -> None:
        self.part = part
        self.limit_s = limit_s
        self.told: Signal = new_signal()
        self.answer: httpx.Response | None = None
        self.failure: httpx.TransportError | None = None

    def tell(self, answer: httpx.Response) -> None:
        """Let who waits have the answer."""
        if not self.told.done():
            self.answer = answer
            give_signal(self.told)

    def fail(self, failure: httpx.TransportError) -> None:
        """Let who waits raise a failure like this one; nothing where there is an answer."""
        if not self.told.done():
            self.failure = type(failure)(str(failure))
            give_signal(self.told)


@dataclass(slots=True)
class _Line:
    """The requests under one token that read, or those that change something."""

    out: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)


class BatchingClient:
    """A `ServiceClient` whose requests may travel together while `run` runs.

    What only reads never waits for what changes something. ``alone`` is for requests that are
    answered when something happens: no other may wait for them. At most ``alone_max`` of a kind go
    by themselves at a time, and then as many batches; what is too large for a batch always does.
    """

    def __init__(self, alone: ServiceClient, alone_max: int = ALONE_MAX) -> None:
        self.alone = alone
        self._alone_max = alone_max
        self._lines: dict[tuple[str, bool], _Line] = {}
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Send what waits, until cancelled; who still waits then is told so."""
        try:
            async with anyio.create_task_group() as self._tasks:
                await anyio.sleep_forever()
        finally:
            self._tasks = None
            for line in self._lines.values():
                while line.waiting:
                    line.waiting.popleft().fail(httpx.ConnectError("not sent: it is stopping"))

    async def request(
        self,
        method: Method,
        path: str,
        *,
        token: str,
        body: bytes | None = None,
        params: Params | None = None,
        timeout_s: float,
    ) -> httpx.Response:
        """Return the answer, as `ServiceClient.request` does, within ``timeout_s`` if it waited."""
        line = self._lines.setdefault((token, method == "GET"), _Line())
        if self._tasks is not None and line.out >= self._alone_max:
            part = _part(method, path, body, params)
            if len(part) <= BYTES_MAX:
                waiting = _Waiting(part, timeout_s)
                line.waiting.append(waiting)
                self._send_next(token, line)
                return await _answered(line, waiting)
        line.out += 1
        try:
            return await self.alone.request(
                method, path, token=token, body=body, params=params, timeout_s=timeout_s
            )
        finally:
            line.out -= 1
            self._send_next(token, line)

    def _send_next(self, token: str, line: _Line) -> None:
        if line.waiting and self._tasks is not None and line.out < max(1, self._alone_max):
            line.out += 1
            self._tasks.start_soon(self._send_waiting, token, line)

    async def _send_waiting(self, token: str, line: _Line) -> None:
        tracing.follow(None)  # the parts belong to traces of their own
        batch: list[_Waiting] = []
        try:
            while line.waiting:
                batch = _taken(line.waiting)
                await self._send(token, batch)
        finally:
            line.out -= 1
            for one in batch:
                one.fail(httpx.CloseError("who was sending it was stopped"))

    async def _send(self, token: str, batch: Sequence[_Waiting]) -> None:
        """Send a batch, and tell all of it what came of it."""
        body = b"[%b]" % b",".join([one.part for one in batch])
        limit_s = min(one.limit_s for one in batch)
        try:
            answer = await self.alone.request(
                "POST", PATH, token=token, body=body, timeout_s=limit_s
            )
            for one, its in zip(batch, _each(answer, len(batch)), strict=True):
                one.tell(its)
        except httpx.TransportError as failure:
            for one in batch:
                one.fail(failure)


def _part(method: Method, path: str, body: bytes | None, params: Params | None) -> bytes:
    """Return the request as a part of a batch, in the trace of who asks."""
    target = f"{path}?{urlencode(params, doseq=True)}" if params else path
    content = NOTHING if body is None else msgspec.Raw(body)
    part = Part(method, target, content, tracing.current(), tracing.current_state())
    return msgspec.json.encode(part)


async def _answered(line: _Line, waiting: _Waiting) -> httpx.Response:
    try:
        with anyio.move_on_after(waiting.limit_s):
            await waiting.told
    finally:
        if waiting in line.waiting:
            line.waiting.remove(waiting)
    if waiting.failure is not None:
        raise waiting.failure
    if waiting.answer is None:
        raise httpx.PoolTimeout("it was not answered in time, or not even sent")
    return waiting.answer


def _taken(waiting: deque[_Waiting]) -> list[_Waiting]:
    """Take the first ones, as many as one request carries."""
    size, batch = 0, list[_Waiting]()
    while waiting and len(batch) < PARTS_MAX:
        size += len(waiting[0].part) + 1
        if size > BYTES_MAX + 1:
            break
        batch.append(waiting.popleft())
    return batch


def _each(answer: httpx.Response, count: int) -> list[httpx.Response]:
    """Return the answer of each. That the service cannot answer now is the answer to all.

    What else refuses the batch (408: it came too slowly) decides nothing about what is in it.
    """
    if answer.is_server_error or answer.status_code == httpx.codes.UNAUTHORIZED:
        return [answer] * count
    if answer.status_code != httpx.codes.OK:
        raise httpx.RemoteProtocolError(f"a batch was answered {answer.status_code}")
    try:
        answers = _answers.decode(answer.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise httpx.RemoteProtocolError("a batch was answered by what is none") from error
    if len(answers) != count:
        raise httpx.RemoteProtocolError(f"{count} requests got {len(answers)} answers")
    return [_response(one) for one in answers]


def _response(answer: Answer) -> httpx.Response:
    headers = {} if answer.retry_after is None else {"Retry-After": answer.retry_after}
    content = b"" if answer.body == NOTHING else bytes(answer.body)
    return httpx.Response(answer.status, headers=headers, content=content)
