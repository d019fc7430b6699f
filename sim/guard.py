"""The patches that make third-party code deterministic: one list, each with its reason.

The law: a patch changes something only while a `VirtualLoop` runs; under any other loop the
library does what it always did. Nothing of *our* product is patched here. Each patch leans on a
detail of one exact version, so versions are checked first: an upgrade fails loudly, and then the
patch is looked at again. `tests/sim/test_guard.py` shows for each what goes wrong without it.
"""

import asyncio
import gc
import os
import random
import sqlite3
import sys
import time
from asyncio.events import _get_running_loop
from collections.abc import Callable, Iterable
from copy import copy
from importlib.metadata import version
from typing import Any

import aiormq.base
import aiosqlite.core
import anyio._backends._asyncio as anyio_asyncio
import httpcore._backends.anyio as httpcore_anyio
import hypercorn.config
import pamqp.base
import werkzeug.routing.converters
import werkzeug.routing.rules

from runtime.amqp.awaiting import ENDING
from sim.handles import SimTask
from sim.loop import VirtualLoop
from sim.seed import EPOCH_S
from sim.socket_stand_in import SocketStandIn
from sim.sqlite import DRIVES, InlineQueue, NoThread, SimConnection

VERSIONS = {
    "aiormq": "7.2.4",
    "aiosqlite": "0.22.1",
    "anyio": "4.16.0",
    "h11": "0.16.0",
    "httpcore": "1.0.9",
    "httpx": "0.28.1",
    "hypercorn": "0.18.0",
    "pamqp": "4.0.1",
    "quart": "0.22.0",
    "werkzeug": "3.1.9",
}


class WrongVersion(Exception):
    """A library is not the version whose details are patched."""


def virtual() -> VirtualLoop | None:
    """Return the virtual loop that runs now, if one does."""
    loop = _get_running_loop()
    return loop if isinstance(loop, VirtualLoop) else None


def install() -> None:
    """Check the versions and patch, once a process."""
    if _entropy.installed:
        return
    _entropy.installed = True
    for name, wanted in VERSIONS.items():
        found = version(name)
        if found != wanted:
            raise WrongVersion(
                f"{name} {found} is installed, the simulator knows {wanted}: look at sim/guard.py, "
                "then change the version there"
            )
    _clocks_and_entropy()
    _ordered_sets()
    _tables()
    _threads()
    _sockets()
    _routes()
    gc.collect()
    gc.freeze()


def seed_entropy(seed: int) -> None:
    """Start the entropy that libraries draw from (`random`, ``os.urandom``) anew for a run."""
    random.seed(f"library/{seed}")
    _entropy.source.seed(f"urandom/{seed}")


# -- clocks and entropy ---------------------------------------------------------------------------


class _Entropy:
    installed = False
    source = random.Random()


_entropy = _Entropy()
# Names that these modules only import, so no type checker knows them as theirs.
_core: Any = aiosqlite.core
_httpcore: Any = httpcore_anyio


def _clocks_and_entropy() -> None:
    """Replace clocks and entropy wherever a module has bound them.

    aiormq's Countdown reads time.monotonic, httpcore's keep-alive too, and Hypercorn binds
    ``time.time`` at import; the wall clock of libraries is the world's, without a node's skew.
    """
    stands_in: dict[int, tuple[object, object]] = {}
    for module, name, make in (
        (time, "time", lambda now: EPOCH_S + now),
        (time, "monotonic", lambda now: now),
        (time, "perf_counter", lambda now: now),
        (time, "time_ns", lambda now: int((EPOCH_S + now) * 1e9)),
        (time, "monotonic_ns", lambda now: int(now * 1e9)),
    ):
        real = getattr(module, name)
        stands_in[id(real)] = real, _clock(real, make)
    stands_in[id(os.urandom)] = os.urandom, _urandom(os.urandom)
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()) if hasattr(module, "__dict__") else ():
            found = stands_in.get(id(value))
            if found is not None and found[0] is value and module is not sys.modules[__name__]:
                setattr(module, name, found[1])


def _clock(real: Callable[[], Any], make: Callable[[float], Any]) -> Callable[[], Any]:
    def now() -> Any:
        loop = _get_running_loop()
        return make(loop.time()) if isinstance(loop, VirtualLoop) else real()

    now.__name__ = real.__name__
    return now


def _urandom(real: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def urandom(size: int) -> bytes:
        return real(size) if virtual() is None else _entropy.source.randbytes(size)

    return urandom


# -- order ----------------------------------------------------------------------------------------


_pop = dict.pop


class OrderedSet(dict[Any, None]):
    """A set whose order is that of insertion, not that of addresses."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        if items:
            self.update(dict.fromkeys(items))

    add = dict.setdefault
    remove = dict.__delitem__

    def discard(self, item: object) -> None:
        """Remove an item if it is there."""
        _pop(self, item, None)

    def pop(self) -> Any:  # type: ignore[override]
        """Remove and return the oldest item."""
        oldest = next(iter(self))
        del self[oldest]
        return oldest

    def copy(self) -> "OrderedSet":
        """Return another one with the same items."""
        return OrderedSet(self)


def _ordered_sets() -> None:
    """Give order to sets of objects that hash by address and are iterated.

    aiormq's FutureStore pops futures when a connection ends; anyio's CancelScope iterates its tasks
    and child scopes to cancel them. And pamqp's repr, which aiormq sends to the broker inside
    Channel.Close, shows an address.
    """
    aiormq.base.set = OrderedSet  # type: ignore[attr-defined]
    anyio_asyncio.set = OrderedSet  # type: ignore[attr-defined]
    pamqp.base._AMQData.__repr__ = lambda self: f"<{self.name}>"  # type: ignore[method-assign]


def _tables() -> None:
    """Leave tasks of virtual loops out of asyncio's table of all tasks.

    This is for speed alone: the table is written in Python, and who is in it is told when it dies.
    A virtual loop knows its own tasks.
    """
    table: Any = asyncio.tasks._all_tasks  # type: ignore[attr-defined]
    add = table.add

    def noted(task: Any) -> None:
        if task.__class__ is not SimTask:
            add(task)

    table.add = noted


# -- threads and sockets --------------------------------------------------------------------------


def _threads() -> None:
    """Run aiosqlite's operations inline, and watch every statement (see `sim.sqlite`)."""
    thread, queue, connect = _core.Thread, _core.SimpleQueue, sqlite3.connect

    def make_thread(*given: Any, **named: Any) -> Any:
        return thread(*given, **named) if virtual() is None else NoThread()

    def make_queue() -> Any:
        return queue() if virtual() is None else InlineQueue()

    def connected(database: Any, *given: Any, **named: Any) -> sqlite3.Connection:
        if virtual() is not None:
            named.setdefault("factory", SimConnection)
            if named.get("uri"):
                database += "&vfs=unix-excl"  # one process: no lock, and no log's index in a file
        made: sqlite3.Connection = connect(database, *given, **named)
        return made

    def forget(self: Any) -> None:
        if not isinstance(self._tx, InlineQueue):
            warn_and_stop(self)  # type: ignore[no-untyped-call]

    warn_and_stop = aiosqlite.core.Connection.__del__
    _core.Connection.__del__ = forget  # a dead process closes nothing, whenever it is collected
    _core.Thread = make_thread
    _core.SimpleQueue = make_queue
    sqlite3.connect = connected  # type: ignore[assignment]


def _sockets() -> None:
    """Have Hypercorn bind stand-ins, and httpcore ask them whether a connection is still good."""
    create = hypercorn.config.Config._create_sockets
    readable = _httpcore.is_socket_readable

    def create_sockets(self: Any, binds: list[str], type_: Any = 1) -> Any:
        loop = virtual()
        if loop is None:
            return create(self, binds, type_)
        pairs = (bind.rsplit(":", 1) for bind in binds)
        return [loop.network.stand_in(host.strip("[]"), int(port)) for host, port in pairs]

    def is_readable(sock: Any) -> bool:
        if isinstance(sock, SocketStandIn):
            return sock.end is None or sock.end.readable
        return bool(readable(sock))

    hypercorn.config.Config._create_sockets = create_sockets  # type: ignore[method-assign]
    _httpcore.is_socket_readable = is_readable


def _routes() -> None:
    """Remember the parts into which werkzeug takes each rule of each app.

    This is for speed alone: they follow from the rule and are never changed, and every process that
    starts in a run would make the same ones again, which costs more than most of its start and
    leaves much of what is to be collected.
    """
    parse_rule = werkzeug.routing.rules.Rule._parse_rule
    parsed: dict[object, Any] = {}

    def parse(self: Any, rule: str) -> Any:
        if self.map.converters != werkzeug.routing.converters.DEFAULT_CONVERTERS:
            return parse_rule(self, rule)
        if rule not in parsed:
            fresh = copy(self)
            fresh._trace, fresh._converters, fresh.arguments = [], {}, set()
            parts = tuple(parse_rule(fresh, rule))
            for converter in fresh._converters.values():
                converter.map = None  # werkzeug's own never ask for it, and it would live for ever
            parsed[rule] = parts, fresh._trace, fresh._converters, fresh.arguments
        parts, trace, converters, arguments = parsed[rule]
        self._trace += trace
        self._converters |= converters
        self.arguments |= arguments
        return parts

    werkzeug.routing.rules.Rule._parse_rule = parse  # type: ignore[method-assign]


def at_rest() -> None:
    """Collect what runs have left, before the next one begins.

    anyio's table of task states never lets go of tasks that did not finish (a leak of about 1 MB a
    run); nor do the product's own tasks that are ending, and the table of drives, let go of a
    process that was killed meanwhile, and of its whole world. Other loops may run in other threads:
    their tasks are none of ours.
    """
    DRIVES.clear()
    _forget_tasks()
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # what remains has no say
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook


def _forget_tasks() -> None:
    """A function of its own: what a local name still holds is not collected."""
    states = anyio_asyncio._task_states
    for task in [*states, *ENDING]:
        if isinstance(task, SimTask):
            states.pop(task, None)
            ENDING.discard(task)
