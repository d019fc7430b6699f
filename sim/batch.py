"""Many runs on all cores: forked workers, each thrown away after a batch.

The laws:
- The world is imported once, by the parent; a worker starts in milliseconds and leaves by ``_exit``
  after ``batch_max`` tasks, so whatever a run leaks is gone with it.
- The parent knows what each worker is at: of one that hangs or dies, the task is known, and the
  others go on.
- A worker's garbage collector is off: when it would run depends on what ran before. It collects
  between runs (`sim.guard.at_rest`).

Tasks and results cross the pipes as msgspec. The work itself is whatever the parent held when it
forked.
"""

import faulthandler
import gc
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import IO, Generic, Literal, NoReturn, Self, TypeVar

import msgspec

from sim import scratch
from sim.patience import Patience, cpu_s

T = TypeVar("T")
R = TypeVar("R")

# A run leaves nothing behind; but should one, it is not for ever.
BATCH_MAX = 500
HANG_S = 120.0
_LENGTH = struct.Struct("<I")
_RESULT, _RAISED = b"=", b"!"
_DUMP_GRACE_S = 2.0
_SAID_MAX = 32_000


class Lost(msgspec.Struct, frozen=True):
    """A task without a result: ``raised`` (a bug of the simulator), ``died`` or ``hung``."""

    why: Literal["raised", "died", "hung"]
    text: str


class Pool(Generic[T, R]):
    """Does ``work`` on tasks, ``jobs`` at a time. ``types``: of tasks and of results.

    A context manager: its workers stay for the next tasks until it is left.
    """

    def __init__(
        self,
        work: Callable[[T], R],
        types: tuple[type[T], type[R]],
        *,
        jobs: int = 0,
        batch_max: int = BATCH_MAX,
        hang_s: float = HANG_S,
    ) -> None:
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self._work = work
        self._task_type = types[0]
        self._decoder = msgspec.msgpack.Decoder(types[1])
        self._batch_max = batch_max
        self._hang_s = hang_s
        self._workers: list[_Worker[T]] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        gc.collect()  # once: workers take over what is left, and never look at it again
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._retire(worker, kill=worker.busy)
        self._selector.close()

    def map(
        self, tasks: Iterable[T], *, tick_s: float = 1.0, tick: Callable[[], None] | None = None
    ) -> Generator[tuple[T, R | Lost], None, None]:
        """Yield each task with its result, as they come. Closing the iterator ends busy workers.

        ``tick`` is called about every ``tick_s`` seconds.
        """
        for _, task, result in self._results(tasks, tick_s, tick):
            yield task, result

    def in_order(self, tasks: Iterable[T]) -> Generator[tuple[T, R | Lost], None, None]:
        """Yield each task with its result, in the order of the tasks."""
        waiting: dict[int, tuple[T, R | Lost]] = {}
        wanted = 0
        for number, task, result in self._results(tasks, 1.0, None):
            waiting[number] = task, result
            while wanted in waiting:
                yield waiting.pop(wanted)
                wanted += 1

    def _results(
        self, tasks: Iterable[T], tick_s: float, tick: Callable[[], None] | None
    ) -> Iterator[tuple[int, T, R | Lost]]:
        left = enumerate(tasks)
        try:
            while True:
                self._feed(left)
                if not any(worker.busy for worker in self._workers):
                    return
                yield from self._listen(tick_s)
                if tick is not None:
                    tick()
        finally:
            for worker in [one for one in self._workers if one.busy]:
                self._retire(worker, kill=True)

    def _feed(self, left: Iterator[tuple[int, T]]) -> None:
        """Give every idle worker a task; start workers, and replace those that have done enough."""
        while sum(worker.busy for worker in self._workers) < self.jobs:
            following = next(left, None)
            if following is None:
                return
            worker = next((one for one in self._workers if not one.busy), None)
            if worker is not None and worker.given >= self._batch_max:
                self._retire(worker)
                worker = None
            if worker is None:
                worker = _Worker(self._serve, [one.channel for one in self._workers])
                self._workers.append(worker)
                self._selector.register(worker.channel, selectors.EVENT_READ, worker)
            worker.give(*following, Patience(self._hang_s, cpu_s(worker.pid), time.monotonic()))

    def _listen(self, at_most_s: float) -> Iterator[tuple[int, T, R | Lost]]:
        for key, _ in self._selector.select(at_most_s):
            worker = key.data
            answer = worker.receive()
            if answer is None:
                self._retire(worker)
                if worker.busy:
                    yield *worker.taken(), Lost("died", f"{worker.ending}\n{worker.said}")
            elif answer:
                yield *worker.taken(), self._decoded(answer)
        for worker in [one for one in self._workers if one.busy and one.hangs()]:
            worker.dump()
            self._retire(worker, kill=True)
            text = f"no result within {self._hang_s:g} s\n{worker.said}"
            yield *worker.taken(), Lost("hung", text)

    def _retire(self, worker: "_Worker[T]", *, kill: bool = False) -> None:
        self._selector.unregister(worker.channel)
        self._workers.remove(worker)
        worker.end(kill=kill)

    def _decoded(self, answer: bytes) -> R | Lost:
        mark, rest = answer[:1], answer[1:]
        if mark == _RAISED:
            return Lost("raised", rest.decode())
        return self._decoder.decode(rest)

    def _serve(self, channel: socket.socket) -> None:
        """Be the worker: one task after another, until the parent hangs up."""
        encode = msgspec.msgpack.Encoder().encode
        decoder = msgspec.msgpack.Decoder(self._task_type)
        while (data := _read(channel)) is not None:
            try:
                answer = _RESULT + encode(self._work(decoder.decode(data)))
            except Exception:
                answer = _RAISED + traceback.format_exc().encode(errors="replace")
            channel.sendall(_LENGTH.pack(len(answer)) + answer)


class _Worker(Generic[T]):
    """The parent's side of one worker."""

    def __init__(self, serve: Callable[[socket.socket], None], others: list[socket.socket]) -> None:
        self.given = 0
        self.ending = self.said = ""
        self._task: tuple[int, T] | None = None
        self._patience: Patience | None = None
        self._partly = b""
        self._folder = scratch.run_folder()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is retired
        self.channel, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            scratch.use(self._folder)
            _live(serve, theirs, [*others, self.channel], self._errors)
        theirs.close()

    @property
    def busy(self) -> bool:
        """Whether it has a task."""
        return self._task is not None

    def give(self, number: int, task: T, patience: Patience) -> None:
        """Have it do ``task``."""
        self._task, self._patience = (number, task), patience
        self.given += 1
        data = msgspec.msgpack.encode(task)
        try:
            self.channel.sendall(_LENGTH.pack(len(data)) + data)
        except ConnectionError:
            """It has died meanwhile: the next look at its channel says so."""

    def hangs(self) -> bool:
        """Whether the patience with its task is at its end."""
        assert self._patience is not None, "it has a task"
        return self._patience.ends(cpu_s(self.pid), time.monotonic())

    def taken(self) -> tuple[int, T]:
        """Return its task and that one's number; from now on it has none."""
        task, self._task = self._task, None
        assert task is not None, "it has a task"
        return task

    def receive(self) -> bytes | None:
        """Return its answer, ``b""`` while only a part has come, None once it has gone."""
        try:
            data = self.channel.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            return None
        self._partly += data
        if len(self._partly) < _LENGTH.size:
            return b""
        size = _LENGTH.size + _LENGTH.unpack_from(self._partly)[0]
        if len(self._partly) < size:
            return b""
        answer, self._partly = self._partly[_LENGTH.size : size], self._partly[size:]
        return answer

    def dump(self) -> None:
        """Have it write down where it is (see `faulthandler`), which also ends it."""
        os.kill(self.pid, signal.SIGABRT)
        limit = time.monotonic() + _DUMP_GRACE_S
        while time.monotonic() < limit and not self._ended(os.WNOHANG):
            time.sleep(0.02)

    def end(self, *, kill: bool = False) -> None:
        """Let it leave, or make it; then ``ending`` says how it ended, ``said`` what it wrote."""
        self.channel.close()
        if not self.ending:
            if kill:
                os.kill(self.pid, signal.SIGKILL)
            self._ended(0)
        shutil.rmtree(self._folder, ignore_errors=True)
        with self._errors as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _SAID_MAX))
            self.said = file.read().decode(errors="replace")

    def _ended(self, options: int) -> bool:
        if not self.ending:
            pid, status = os.waitpid(self.pid, options)
            code = os.waitstatus_to_exitcode(status)
            if pid:
                self.ending = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return bool(self.ending)


def _live(
    serve: Callable[[socket.socket], None],
    channel: socket.socket,
    others: list[socket.socket],
    errors: IO[bytes],
) -> NoReturn:
    """Serve and never return: nothing of the parent's runs here, no ``finally`` either."""
    code = 1
    try:
        gc.disable()
        gc.freeze()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in others:
            other.close()
        os.dup2(errors.fileno(), 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        faulthandler.enable(file=2)
        serve(channel)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _read(channel: socket.socket) -> bytes | None:
    """Read one frame; None once the parent has hung up."""
    head = _read_exactly(channel, _LENGTH.size)
    return None if head is None else _read_exactly(channel, _LENGTH.unpack(head)[0])


def _read_exactly(channel: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = channel.recv(size - len(data))
        if not more:
            return None
        data += more
    return data
