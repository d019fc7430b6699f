"""The broker's core behind a TCP port, with its journal: a supervised child.

One event loop does everything but the disk. Bytes go to the core as they come; what it answers is
written once a loop turn. Records go to the database in groups (`keeping`): while one transaction is
on its way the next batch collects, so the journal is never waited for by anything but the confirms
it owes. While the disk is full nothing is confirmed.
A bug in the core or a broken journal ends the child; the next incarnation starts from the journal.

Bounds: a client that does not read is not delivered to; a publisher that is faster than the disk
is not read from; logins, frames, channels and bodies have the core's limits.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import anyio

from runtime.broker import journal
from runtime.broker.broker import Broker, BrokerStatistics
from runtime.broker.keeping import JournalKeeper
from runtime.broker.operating import Operator
from runtime.broker.protocol import Connection
from runtime.child import ChildContext
from runtime.database import Database
from runtime.host import Clock, Host
from runtime.telemetry import Telemetry

FAREWELL_S_MAX = 1.0
SHUTDOWN = "broker forced connection closure with reason 'shutdown'"


class BrokerServer:
    """An AMQP 0-9-1 server for ``users`` (name -> password).

    ``database`` holds the journal (`journal.MIGRATIONS`); without one nothing survives a restart.
    ``port`` 0 takes any free port: read `port` once the child has started.
    """

    def __init__(
        self,
        host: Host,
        database: Database | None,
        *,
        bind: str,
        port: int,
        users: Mapping[str, str],
        telemetry: Telemetry,
        vhosts: Sequence[str] = ("/",),
    ) -> None:
        self.port = port
        self._host = host
        self._database = database
        self._bind = bind
        self._users = users
        self._telemetry = telemetry
        self._vhosts = vhosts
        self._running: _Running | None = None

    async def run(self, context: ChildContext) -> None:
        """Serve until told to stop; raises what the database raises when the journal fails."""
        broker = Broker(
            self._host.clock,
            users=self._users,
            token=lambda: self._host.ids.new("q").partition("_")[2],
            journalled=self._database is not None,
            vhosts=self._vhosts,
        )
        if self._database is not None:
            journal.restore(broker, await self._database.read(journal.load))
        running = self._running = _Running(
            broker, self._database, self._host.clock, self._telemetry
        )
        listener = await self._host.network.listen(
            partial(_ClientProtocol, running), self._bind, self.port
        )
        self.port = listener.port
        queues = sum(len(vhost.queues) for vhost in broker.vhosts.values())
        self._telemetry.event("broker.listening", bind=self._bind, port=self.port, queues=queues)
        context.started()
        try:
            await running.keep_journal(context.stopping)
            await listener.close()
            await running.say_farewell(context.stopping)
        finally:
            await listener.close()
            running.abort()
        self._telemetry.event("broker.stopped", port=self.port)

    def statistics(self) -> BrokerStatistics | None:
        """What the broker holds now; None before it has started."""
        return None if self._running is None else self._running.broker.statistics()

    def operator(self) -> Operator:
        """Somebody who looks after the running broker; use it in the broker's event loop."""
        assert self._running is not None, "the broker has not started"
        return self._running.operator


class _Running:
    """One incarnation: the core, its transports, its timer, and its journal."""

    def __init__(
        self, broker: Broker, database: Database | None, clock: Clock, telemetry: Telemetry
    ) -> None:
        self.broker = broker
        self._keeper = JournalKeeper(broker, database, clock, telemetry)
        self._loop = asyncio.get_running_loop()
        self._transports: dict[Connection, asyncio.Transport] = {}
        self._not_read: dict[Connection, None] = {}
        self._attention = anyio.Event()
        self._deserted = anyio.Event()
        self._leaving = False
        self._failure: Exception | None = None
        self._flush_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.operator = Operator(broker, self._flush_soon)
        self._flush_soon()

    # -- clients ----------------------------------------------------------------------------------

    def connected(self, transport: asyncio.Transport) -> Connection:
        """A client is there."""
        connection = self.broker.connect()
        self._transports[connection] = transport
        self._flush_soon()
        return connection

    def received(self, connection: Connection, data: bytes) -> None:
        """A client has sent something."""
        try:
            self.broker.receive(connection, data)
        except Exception as error:  # a bug: the core's state is no longer to be trusted
            self._fail(error)
        if self._keeper.is_behind:
            self._stop_reading(connection)
        self._flush_soon()

    def disconnected(self, connection: Connection) -> None:
        """A client is gone."""
        del self._transports[connection]
        if self._leaving and not self._transports:
            self._deserted.set()
        self._not_read.pop(connection, None)
        try:
            self.broker.disconnected(connection)
        except Exception as error:  # as above
            self._fail(error)
        self._flush_soon()

    def paused(self, connection: Connection) -> None:
        """A client does not read fast enough."""
        self.broker.pause(connection)

    def resumed(self, connection: Connection) -> None:
        """A client has caught up."""
        self.broker.resume(connection)
        self._flush_soon()

    def _stop_reading(self, connection: Connection) -> None:
        transport = self._transports.get(connection)
        if transport is not None and connection not in self._not_read:
            self._not_read[connection] = None
            transport.pause_reading()

    def _read_again(self) -> None:
        for connection in list(self._not_read):
            transport = self._transports[connection]
            if connection.blocked or self._keeper.is_behind:
                continue
            del self._not_read[connection]
            if not transport.is_closing():
                transport.resume_reading()

    # -- out --------------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        while changed := self.broker.take_changed():
            for connection in changed:
                self._write(connection)
        if self.broker.recorder.waiting:
            self._attention.set()
        self._arm_timer()

    def _write(self, connection: Connection) -> None:
        transport = self._transports.get(connection)
        if transport is None:
            return
        data = connection.take_output()
        if connection.ending == "abort":
            transport.abort()
            return
        if data:
            transport.write(data)
        if connection.blocked:
            self._stop_reading(connection)
        else:
            self._read_again()
        if connection.ending:
            transport.close()
        else:
            self.broker.serve(connection)

    def _arm_timer(self) -> None:
        due = self.broker.next_timer()
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_later(max(0.0, due - self.broker.now()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        try:
            self.broker.run_timers()
        except Exception as error:  # as above
            self._fail(error)
        self._flush()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._attention.set()

    # -- journal ----------------------------------------------------------------------------------

    async def keep_journal(self, stopping: anyio.Event) -> None:
        """Write what the core notes, until told to stop."""
        failure: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, stopping)
            try:
                while not stopping.is_set():
                    await self._attention.wait()
                    self._attention = anyio.Event()
                    if self._failure is not None:
                        raise self._failure
                    await self._write_waiting(stopping)
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # raised below: the group would wrap it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _watch(self, stopping: anyio.Event) -> None:
        await stopping.wait()
        self._attention.set()

    async def _write_waiting(self, stopping: anyio.Event) -> None:
        await self._keeper.write_waiting(stopping, self._written)

    def _written(self) -> None:
        self._read_again()
        self._flush()

    # -- the end ----------------------------------------------------------------------------------

    async def say_farewell(self, stopping: anyio.Event) -> None:
        """Tell every client that we go (320), give them a moment, and keep what came back."""
        self._leaving = True
        if not self._transports:
            self._deserted.set()
        for connection in list(self._transports):
            connection.force_close(SHUTDOWN)
        self._flush()
        with anyio.move_on_after(FAREWELL_S_MAX):
            await self._deserted.wait()
        self.abort()
        self.broker.settle()
        await self._write_waiting(stopping)

    def abort(self) -> None:
        """Drop every client that is still there."""
        if self._timer is not None:
            self._timer.cancel()
        for connection, transport in list(self._transports.items()):
            connection.end("abort")
            transport.abort()


class _ClientProtocol(asyncio.Protocol):
    """One client's socket."""

    def __init__(self, running: _Running) -> None:
        self._running = running
        self._connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._connection = self._running.connected(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        assert self._connection is not None
        self._running.received(self._connection, data)

    def pause_writing(self) -> None:
        assert self._connection is not None
        self._running.paused(self._connection)

    def resume_writing(self) -> None:
        assert self._connection is not None
        self._running.resumed(self._connection)

    def connection_lost(self, error: Exception | None) -> None:
        assert self._connection is not None
        self._running.disconnected(self._connection)
