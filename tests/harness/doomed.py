"""A process that runs the whole system and kills itself (SIGKILL) at one named step.

The product has no hook for this. The step is found from outside: a commit of one of its databases,
seen by the connection that SQLite gives it, or a call through a port of the composition. The
process is forked from a server that has imported everything, so that it is there in no time.
"""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, TypeVar, cast

import anyio
import anyio.to_thread
import msgspec

from actors.parties import Parties, built_in_parties
from actors.process import run_system
from actors.settings import Settings
from actors.system import EVENTS, METRICS
from runtime.amqp.consumer import Consumer
from runtime.amqp.publisher import LinkPublisher
from runtime.host import production_host
from runtime.telemetry import Telemetry
from tests.harness.system import Json, system_settings

READY_S_MAX = 60.0
T = TypeVar("T")
When = Literal["before", "after"]


class Death(msgspec.Struct, frozen=True):
    """Where to die: ``before`` or ``after`` the ``count``-th time that ``step`` is taken.

    ``payment.db: UPDATE inbox, done`` is a commit of that file, of a transaction in which one
    statement and its parameters held all these texts. ``provider.capture`` is a call of a party,
    ``publish`` one through the publisher, ``ack`` one of the consumers'. ``hang`` takes the place
    of dying: the step is announced and never ends.
    """

    when: When
    step: str
    count: int = 1
    hang: bool = False

    def __str__(self) -> str:
        numbered = f" #{self.count}" if self.count > 1 else ""
        return f"{self.when} {self.step}{numbered}"


class _Reaper:
    """Counts the steps, and ends the process at the fatal one."""

    def __init__(self, death: Death, parent: "Connection[Any, Any]") -> None:
        self.death = death
        self._parent = parent
        self._seen = 0

    def reached(self) -> bool:
        """Count one step; return whether it is the fatal one."""
        self._seen += 1
        return self._seen == self.death.count

    def die(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("survived SIGKILL")

    async def around(self, step: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of a port, unless this is where it ends."""
        fatal = step == self.death.step and self.reached()
        if fatal and self.death.hang:
            self._parent.send("hanging")
            await anyio.sleep_forever()
        if fatal and self.death.when == "before":
            self.die()
        answer = await call()
        if fatal:
            self.die()
        return answer

    def watch(self, name: str, port: T) -> T:
        """Return the port with the reaper around each of its methods."""
        return cast("T", _Watched(self, name, port))


class _Watched:
    def __init__(self, reaper: _Reaper, name: str, port: object) -> None:
        self._reaper = reaper
        self._name = name
        self._port = port

    def __getattr__(self, method: str) -> object:
        found = getattr(self._port, method)
        if not callable(found):
            return found

        async def call(*args: object, **kwargs: object) -> object:
            step = f"{self._name}.{method}"
            return await self._reaper.around(step, lambda: found(*args, **kwargs))

        return call


def _watch_commits(reaper: _Reaper) -> None:
    """Have every connection to the file of ``step`` look for the fatal transaction."""
    file, _, wanted = reaper.death.step.partition(": ")
    words = wanted.split(", ")
    real = sqlite3.connect

    class Watching(sqlite3.Connection):
        fatal = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and self.fatal:
                self.fatal = False
                if reaper.reached():
                    self._end()
            self._look(sql, parameters)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
            rows = list(rows)
            self._look(sql, rows)
            return super().executemany(sql, rows)

        def _look(self, sql: str, parameters: object) -> None:
            text = f"{sql} {parameters}"
            # Without rows there is nothing to do, so nothing was done.
            self.fatal |= parameters != [] and all(word in text for word in words)

        def _end(self) -> None:
            if reaper.death.when == "after":
                super().execute("COMMIT")
            reaper.die()

    def connect(path: str, **options: Any) -> sqlite3.Connection:
        watched = f"/{file}?" in path and "mode=rw" in path
        return real(path, **options, **({"factory": Watching} if watched else {}))

    sqlite3.connect = cast("Any", connect)


def _watch_broker_calls(reaper: _Reaper) -> None:
    publish_batch, ack = LinkPublisher.publish_batch, Consumer.ack

    async def watched_publish(self: LinkPublisher, batch: Any) -> list[Exception | None]:
        return await reaper.around("publish", lambda: publish_batch(self, batch))

    def watched_ack(self: Consumer, delivery: Any) -> None:
        if reaper.death.step == f"ack {self.queue}" and reaper.reached():
            reaper.die()
        ack(self, delivery)

    LinkPublisher.publish_batch = watched_publish  # type: ignore[method-assign]
    Consumer.ack = watched_ack  # type: ignore[method-assign]


def _live(
    folder: Path,
    broker_url: str,
    changes: dict[str, Json],
    death: Death,
    parent: "Connection[Any, Any]",
) -> None:
    reaper = _Reaper(death, parent)
    if ".db: " in death.step:
        _watch_commits(reaper)
    else:
        _watch_broker_calls(reaper)
    anyio.run(_serve, system_settings(folder, broker_url, **changes), reaper, parent)


async def _serve(settings: Settings, reaper: _Reaper, parent: "Connection[Any, Any]") -> None:
    host = production_host(Path(settings.data_dir))
    telemetry = Telemetry(
        wall=host.clock.wall, log_level="off", metrics=METRICS, events=EVENTS, write=lambda _: None
    )

    @asynccontextmanager
    async def open_parties(*arguments: Any) -> AsyncIterator[Parties]:
        async with built_in_parties(*arguments) as parties:
            yield Parties(
                reaper.watch("provider", parties.provider),
                reaper.watch("carrier", parties.carrier),
                reaper.watch("mailer", parties.mailer),
            )

    await run_system(
        settings,
        host,
        telemetry,
        stopping=anyio.Event(),
        ready=lambda running: parent.send(running.url),
        open_parties=open_parties,
    )


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


class Doomed:
    """The process, from ``async with`` to its end; whatever is left of it then is killed.

    ``url`` is where it serves, empty if it died before it did.
    """

    def __init__(self, folder: Path, broker_url: str, death: Death, **changes: Json) -> None:
        self._ours, theirs = _FORKS.Pipe()
        self._theirs = theirs
        self._process = _FORKS.Process(
            target=_live, args=(folder, broker_url, changes, death, theirs)
        )
        self.url = ""

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self._process.start)
        self._theirs.close()
        self.url = await self.told()
        return self

    async def told(self) -> str:
        """Return the next thing that it says; nothing if it has died."""

        def wait() -> str:
            assert self._ours.poll(READY_S_MAX), "it says nothing"
            try:
                return str(self._ours.recv())
            except EOFError:
                return ""

        return await anyio.to_thread.run_sync(wait)

    def kill(self) -> None:
        """SIGKILL, from outside."""
        self._process.kill()

    async def died(self) -> bool:
        """Wait for its end; return whether it was SIGKILL."""
        await anyio.to_thread.run_sync(self._process.join, READY_S_MAX)
        return self._process.exitcode == -signal.SIGKILL

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await anyio.to_thread.run_sync(self._process.join)
        self._process.close()
        self._ours.close()
