"""What the disk does: it is slow, it hangs, it is full, it fails.

``moment`` and ``only`` aim an error: before or after a statement that begins so; ``after`` is how
many pass first.
"""

import random
from typing import Any

from sim.disk import Arm
from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, Strike
from sim.plan import World
from sim.sqlite import Failure

FULL_STATEMENTS = ("INSERT", "UPDATE", "DELETE", "COMMIT")


def slow_disk(strike: Strike) -> Heal | None:
    """Each operation of a disk takes up to ``late_s``."""
    storage = strike.node().storage
    usual, before = strike.world.plan.world.disk_s_max, storage.operations
    storage.latency_s_max = strike.fact("late_s", 0.1)

    def heal() -> None:
        storage.latency_s_max = usual
        if storage.operations > before:
            strike.happened(storage.operations - before)

    return heal


def disk_stall(strike: Strike) -> Heal | None:
    """A disk answers nothing for ``for_s``, then everything."""
    storage = strike.node().storage
    before = storage.delayed
    storage.stalled_until_s = strike.engine.now + strike.fault.for_s

    def heal() -> None:
        storage.stalled_until_s = 0.0
        if storage.delayed > before:
            strike.happened(storage.delayed - before)

    return heal


def disk_busy(strike: Strike) -> Heal | None:
    """Somebody else holds the lock of a database: SQLITE_BUSY, ``times`` times."""
    return _fail(strike, "SQLITE_BUSY", moment="before", only="BEGIN IMMEDIATE")


def disk_full(strike: Strike) -> Heal | None:
    """The files of a disk cannot grow: SQLite itself says SQLITE_FULL."""
    storage = strike.node().storage
    before = storage.refused
    storage.limit_pages(1)

    def heal() -> None:
        storage.limit_pages(0)
        if storage.refused > before:
            strike.happened(storage.refused - before)

    return heal


def disk_full_at(strike: Strike) -> Heal | None:
    """The disk is full at a statement of a transaction, ``times`` times."""
    return _fail(strike, "SQLITE_FULL", moment="before", only=strike.fact("only", "COMMIT"))


def disk_error(strike: Strike) -> Heal | None:
    """An I/O error (``code``) at a statement, before or after it has been applied."""
    moment, only = strike.fact("moment", "before"), strike.fact("only", "COMMIT")
    return _fail(strike, strike.fact("code", "SQLITE_IOERR"), moment=moment, only=only)


def _fail(strike: Strike, code: str, *, moment: Any, only: str) -> Heal:
    storage = strike.node().storage

    def happened(inside: bool) -> None:
        strike.happened(code, variety=f"{moment} {only or 'any statement'}")

    arms = [
        Arm(strike.fact("after", 0) + 1, moment, Failure(code), only, happened)
        for _ in range(strike.fact("times", 1))
    ]
    storage.arms += arms

    def heal() -> None:
        for arm in arms:
            storage.disarm(arm)

    return heal


def _draw_slow(rng: random.Random, world: World) -> Draft:
    facts = {"late_s": rng.choice((0.02, 0.2, 2.0))}
    return Draft(target=_disk(rng, world), for_s=rng.uniform(2, 20), facts=facts)


def _draw_stall(rng: random.Random, world: World) -> Draft:
    return Draft(target=_disk(rng, world), for_s=rng.choice((0.5, 3.0, 12.0, 40.0)))


def _draw_busy(rng: random.Random, world: World) -> Draft:
    facts = {"after": rng.randrange(20), "times": rng.randrange(1, 6)}
    return Draft(target=_disk(rng, world), for_s=30.0, facts=facts)


def _draw_full(rng: random.Random, world: World) -> Draft:
    return Draft(target=_disk(rng, world), for_s=rng.uniform(2, 20))


def _draw_full_at(rng: random.Random, world: World) -> Draft:
    facts = {
        "after": rng.randrange(20),
        "times": rng.randrange(1, 6),
        "only": rng.choice(FULL_STATEMENTS),
    }
    return Draft(target=_disk(rng, world), for_s=30.0, facts=facts)


def _draw_error(rng: random.Random, world: World) -> Draft:
    facts = {
        "after": rng.randrange(20),
        "moment": rng.choice(("before", "after")),
        "only": rng.choice(("COMMIT", "COMMIT", "INSERT", "BEGIN IMMEDIATE", "SELECT")),
        "code": rng.choice(("SQLITE_IOERR", "SQLITE_IOERR_FSYNC")),
    }
    return Draft(target=_disk(rng, world), for_s=30.0, facts=facts)


def _disk(rng: random.Random, world: World) -> str:
    """Draw a disk: ours mostly, sometimes a party's."""
    theirs = rng.random() < 0.2
    return rng.choice(targets.PARTIES if theirs else targets.processes(world))


KINDS = (
    Kind("slow-disk", slow_disk, _draw_slow),
    Kind("disk-stall", disk_stall, _draw_stall),
    Kind("disk-busy", disk_busy, _draw_busy),
    Kind("disk-full", disk_full, _draw_full),
    Kind("disk-full-at", disk_full_at, _draw_full_at),
    Kind("disk-error", disk_error, _draw_error),
)
