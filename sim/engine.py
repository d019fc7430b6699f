"""Everything below the simulated processes, made for one run and thrown away after it."""

import asyncio
import gc
import shutil
import sys
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sim import guard, scratch
from sim.loop import VirtualLoop
from sim.network import Network
from sim.plan import STEPS_MAX, VIRTUAL_S_MAX
from sim.seed import Seed
from sim.trace import Trace


class Engine:
    """Loop, network, trace and folder of one run. Made by `engine`."""

    def __init__(
        self, seed: Seed, root: Path, *, keep_trace: bool, steps_max: int, virtual_s_max: float
    ) -> None:
        self.seed = seed
        self.root = root
        self.trace = Trace(keep=keep_trace)
        self.loop = VirtualLoop(
            seed.stream("sched"), self.trace, steps_max=steps_max, virtual_s_max=virtual_s_max
        )
        self.warnings: list[warnings.WarningMessage] = []
        self.network = Network(self.loop, self.trace, seed)

    @property
    def mishaps(self) -> list[str]:
        """What nobody has handled until now: exceptions, and warnings of the code that runs."""
        return [*self.loop.mishaps, *(f"warning: {one.message}" for one in self.warnings)]

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.loop.time()

    def note(self, kind: str, *facts: str | float | bytes) -> None:
        """Put a line into the trace."""
        self.trace.note(self.loop.time(), kind, *facts)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run the world's main task to its end."""
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self.loop.create_task(main))
        finally:
            self.loop.finish()
            asyncio.set_event_loop(None)


@contextmanager
def engine(
    seed: Seed,
    *,
    keep_trace: bool = True,
    steps_max: int = STEPS_MAX,
    virtual_s_max: float = VIRTUAL_S_MAX,
    root: Path | None = None,
) -> Iterator[Engine]:
    """Make an engine whose files lie in memory, and remove them afterwards.

    Warnings of the code under simulation, such as a coroutine that nobody awaits, are mishaps of
    the run like an exception that nobody catches. The garbage collector is off meanwhile: when it
    runs, and so when a finaliser does, depends on what the process did before.
    """
    guard.install()
    collecting = gc.isenabled()
    gc.disable()
    guard.seed_entropy(seed.number)
    folder = scratch.run_folder() if root is None else root
    made = Engine(
        seed, folder, keep_trace=keep_trace, steps_max=steps_max, virtual_s_max=virtual_s_max
    )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made.warnings = caught
            yield made
    finally:
        _bury(made)
        if collecting:
            gc.enable()
        if root is None:
            shutil.rmtree(folder, ignore_errors=True)


def _bury(made: Engine) -> None:
    """Let go of everything a run has left, now, and whatever the remains still have to say.

    Coroutines that never finished run their ``finally`` when they are dropped. That must not
    happen in the next run, and what they complain about is no finding: the run is over.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.loop.bury()
            made.network.clear()
            guard.at_rest()
    finally:
        sys.unraisablehook = hook
