"""What happens to a process: it is killed, it hangs, it is told to stop; something in it breaks."""

import asyncio
import random
from contextlib import suppress
from functools import partial
from types import CoroutineType
from typing import Any

from sim.faults import targets
from sim.faults.kind import Draft, Heal, Kind, NoVictim, Strike
from sim.faults.points import at_call, draw_call
from sim.handles import SimTask
from sim.incarnation import NOBODY
from sim.node import Node
from sim.plan import World

RESTART_S_MIN = 0.1
BROKER_TASK = "ordermill/broker"
_OURS = ("runtime.", "actors.")
_WHOLE = ("Node._run",)  # a process's main task: it would end as if nobody were left
_NOTHING_RAISES_IN = ("TaskGroup.__aexit__", "sleep")


class Injected(Exception):
    """A bug that nobody has written: it is raised where an actor waits."""


def kill(strike: Strike) -> Heal | None:
    """SIGKILL of a process; it is started again after ``for_s``."""
    node = strike.node()
    node.restart_s = max(strike.fault.for_s, RESTART_S_MIN)
    node.kill()
    strike.happened(node.name)
    return None


def crash_loop(strike: Strike) -> Heal | None:
    """SIGKILL, and again within ``within_s`` of each of the next ``times`` starts."""
    node, loop = strike.node(), strike.engine.loop
    left, within_s = strike.fact("times", 3), strike.fact("within_s", 0.5)
    node.restart_s = RESTART_S_MIN

    def again() -> None:
        nonlocal left
        if left:
            left -= 1
            loop.call_later(strike.rng.uniform(0, within_s), fell, node.incarnation, context=NOBODY)

    def fell(incarnation: object) -> None:
        if node.incarnation is incarnation:
            node.kill()
            strike.happened(node.name, left)

    def heal() -> None:
        nonlocal left
        left = 0
        node.on_start.remove(again)

    node.on_start.append(again)
    node.kill()
    return heal


def broker_restart(strike: Strike) -> Heal | None:
    """The broker dies and starts again: durable queues survive, what was not acked comes again."""
    if "broker" in strike.world.nodes:
        return kill(strike)
    task, waited_for = _victim(strike, named=BROKER_TASK, raises=True)
    waited_for.set_exception(Injected("injected"))
    strike.happened(task.get_name())
    return None


def sigterm(strike: Strike) -> Heal | None:
    """SIGTERM: it drains; SIGKILL if it still runs after ``grace_s``; then it is started again.

    With ``party`` it comes amid the work: at one of the next calls of that outside party, whose
    answer then takes ``slow_s``.
    """
    strike.node()
    if "party" in strike.fault.facts:
        return at_call(strike, partial(_tell_to_stop, strike))
    _tell_to_stop(strike)
    return None


def _tell_to_stop(strike: Strike) -> None:
    node = strike.world.nodes[strike.fault.target]
    victim = node.incarnation
    if not node.up or victim is None:
        return
    node.restart_s = max(strike.fact("restart_s", strike.fault.for_s), RESTART_S_MIN)
    strike.world.terminate(node.name)
    strike.happened(node.name)

    def lose_patience() -> None:
        if node.incarnation is victim:
            node.kill()
            strike.happened(node.name, "killed")

    strike.engine.loop.call_later(strike.fact("grace_s", 10.0), lose_patience, context=NOBODY)


def freeze(strike: Strike) -> Heal | None:
    """SIGSTOP of a process, past heartbeats and deadlines; then it goes on, late for everything."""
    node = strike.node()
    victim = node.incarnation
    assert victim is not None, "it is up"
    node.freeze()

    def thaw() -> None:
        if node.incarnation is victim:
            if victim.held:
                strike.happened(len(victim.held))
            node.thaw()

    return thaw


def stutter(strike: Strike) -> Heal | None:
    """A process gets no processor time, again and again, up to ``pause_s``: timers are late."""
    node, loop, rng = strike.node(), strike.engine.loop, strike.rng
    pause_s, over = strike.fact("pause_s", 0.5), False

    def pause() -> None:
        if not over:
            node.freeze()
            loop.call_later(rng.uniform(0, pause_s), resume, context=NOBODY)

    def resume() -> None:
        victim = node.incarnation
        if victim is not None and victim.held:
            strike.happened(len(victim.held))
        node.thaw()
        loop.call_later(rng.uniform(0.01, pause_s), pause, context=NOBODY)

    def heal() -> None:
        nonlocal over
        over = True
        node.thaw()

    pause()
    return heal


def actor_exception(strike: Strike) -> Heal | None:
    """Something of ours raises where it waits: a bug that nobody has written.

    Not where nothing can: a task group that waits for its children would leave them behind, and a
    sleep would end once more when its time comes. The bug may come ``again`` so many times, a
    moment after its actor was restarted.
    """
    task, waited_for = _victim(strike, raises=True)
    node, name, left = strike.node(), task.get_name(), strike.fact("again", 0)
    waited_for.set_exception(Injected("injected"))
    strike.happened(name)

    def again() -> None:
        nonlocal left
        if not left or not node.up:
            return
        with suppress(NoVictim):  # it is not restarted yet
            _, waits_for = _victim(strike, raises=True, called=name)
            left -= 1
            waits_for.set_exception(Injected("injected again"))
            strike.happened(name, left)
        later()

    def later() -> None:
        pause_s = strike.rng.uniform(0.1, strike.fact("within_s", 3.0))
        strike.engine.loop.call_later(pause_s, again, context=NOBODY)

    def heal() -> None:
        nonlocal left
        left = 0

    if not left:
        return None
    later()
    return heal


def stray_cancel(strike: Strike) -> Heal | None:
    """What something of ours waits for is cancelled, as aiormq does when a connection ends."""
    task, waited_for = _victim(strike)
    waited_for.cancel()
    strike.happened(task.get_name())
    return None


def task_cancelled(strike: Strike) -> Heal | None:
    """Some task is cancelled at the await where it is, though nobody wanted that."""
    task, _ = _victim(strike, anybody=True)
    task.cancel()
    strike.happened(task.get_name())
    return None


def _victim(
    strike: Strike,
    *,
    anybody: bool = False,
    named: str = "",
    called: str = "",
    raises: bool = False,
) -> tuple[SimTask, "asyncio.Future[object]"]:
    """Choose a task of ours (or anybody's) that waits for something; `NoVictim` without one.

    ``named``: what its name holds; ``called``: its name. ``raises``: one that waits where an
    exception may come from.
    """
    node: Node = strike.node()
    assert node.incarnation is not None, "it is up"
    if node.incarnation.state != "alive":
        raise NoVictim(strike.fault.target)  # frozen: nothing happens in it
    found = []
    for task in strike.engine.loop.tasks_of(node.incarnation):
        waited_for = task._fut_waiter  # type: ignore[attr-defined]  # noqa: SLF001
        plain = isinstance(waited_for, asyncio.Future) and not isinstance(waited_for, asyncio.Task)
        name = task.get_name()
        ours = name.startswith(_OURS) or "/" in name
        wanted = ours or (anybody and getattr(task.get_coro(), "__qualname__", "") not in _WHOLE)
        wanted = wanted and named in name and strike.fact("only", "") in name
        wanted = wanted and called in ("", name)
        wanted = wanted and not (raises and _innermost(task) in _NOTHING_RAISES_IN)
        if plain and wanted and not waited_for.done():
            found.append((task, waited_for))
    if not found:
        raise NoVictim(strike.fault.target)
    return strike.rng.choice(found)


def _innermost(task: SimTask) -> str:
    """Return the name of the coroutine in which a task waits."""
    inside: Any = task.get_coro()
    while isinstance(following := getattr(inside, "cr_await", None), CoroutineType):
        inside = following
    return str(getattr(inside, "__qualname__", ""))


def _draw_process(rng: random.Random, world: World) -> Draft:
    for_s = rng.choice((0.1, 0.5, 3.0, 15.0))
    return Draft(target=rng.choice(targets.everybody(world)), for_s=for_s)


def _draw_broker(rng: random.Random, world: World) -> Draft:
    return Draft(target=targets.broker(world), for_s=rng.choice((0.2, 3.0, 15.0)))


def _draw_crash_loop(rng: random.Random, world: World) -> Draft:
    facts = {"times": rng.randrange(1, 6), "within_s": rng.choice((0.05, 0.5, 2.0))}
    return Draft(target=rng.choice(targets.processes(world)), for_s=20.0, facts=facts)


def _draw_sigterm(rng: random.Random, world: World) -> Draft:
    facts: dict[str, Any] = {"grace_s": rng.choice((0.2, 2.0, 30.0))}
    if rng.random() < 0.4:
        return Draft(
            target=rng.choice(targets.processes(world)), for_s=rng.uniform(0.1, 3), facts=facts
        )
    service, call = draw_call(rng)
    facts |= {
        "moment": rng.choice(("before", "after")),
        "restart_s": rng.choice((0.1, 3.0)),
        "slow_s": rng.choice((0.0, 1.0, 4.0)),
        **call,
    }
    return Draft(target=targets.consumer(world, service), for_s=30.0, facts=facts)


def _draw_freeze(rng: random.Random, world: World) -> Draft:
    for_s = rng.choice((0.5, 3.0, 12.0, 40.0))
    return Draft(target=rng.choice(targets.everybody(world)), for_s=for_s)


def _draw_stutter(rng: random.Random, world: World) -> Draft:
    facts = {"pause_s": rng.choice((0.02, 0.3, 1.5))}
    return Draft(target=rng.choice(targets.everybody(world)), for_s=rng.uniform(2, 15), facts=facts)


def _draw_inside(rng: random.Random, world: World) -> Draft:
    return Draft(target=rng.choice(targets.processes(world)))


def _draw_exception(rng: random.Random, world: World) -> Draft:
    facts = {"again": rng.choice((0, 0, 0, 12)), "within_s": rng.choice((0.5, 3.0))}
    return Draft(target=rng.choice(targets.processes(world)), for_s=25.0, facts=facts)


KINDS = (
    Kind("kill", kill, _draw_process),
    Kind("broker-restart", broker_restart, _draw_broker),
    Kind("crash-loop", crash_loop, _draw_crash_loop),
    Kind("sigterm", sigterm, _draw_sigterm),
    Kind("freeze", freeze, _draw_freeze),
    Kind("stutter", stutter, _draw_stutter),
    Kind("actor-exception", actor_exception, _draw_exception),
    Kind("stray-cancel", stray_cancel, _draw_inside),
    Kind("task-cancelled", task_cancelled, _draw_inside),
)
