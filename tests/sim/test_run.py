"""A whole run: what it asks the real machine for, and what the dead do."""

import os
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from runtime.database import Database
from sim import guard
from sim.incarnation import CURRENT
from sim.plan import Act, Fault, Order, Plan
from sim.run import Running, run
from tests.sim.plans import MUG, SHIPPED, kill, plan


def test_a_run_opens_no_socket_no_thread_and_no_file_but_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def refuse(name: str) -> Any:
        def asked_for(*_given: Any, **_named: Any) -> None:
            asked.append(name)
            raise AssertionError(name)

        return asked_for

    monkeypatch.setattr(socket.socket, "__init__", refuse("socket"))
    monkeypatch.setattr(threading.Thread, "start", refuse("thread"))
    before = _descriptors()
    during: set[str] = set()

    def attach(running: Running) -> None:
        running.engine.loop.call_later(4.0, lambda: during.update(_descriptors() - before))

    result = run(plan(faults=(kill(1, 2.0),)), attach=attach)
    assert result.violations == []
    assert asked == []
    assert during != set()
    assert all(
        name.endswith((".db", ".db-wal", ".db-shm")) and "ordermill-sim" in name for name in during
    ), during
    guard.at_rest()  # as the next run would
    assert _descriptors() <= before  # an earlier run's may have been closed meanwhile


def _descriptors() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:  # the listing's own
            continue
    return found


def _power_cut(at_s: float) -> Fault:
    facts = {"at": "statement", "only": "INSERT", "after": 3}
    return Fault(number=9, kind="power-cut", at_s=at_s, for_s=6.0, target="shop", facts=facts)


@pytest.mark.parametrize(
    "fault", [kill(1, 1.3), _power_cut(1.0)], ids=["killed", "power cut in a transaction"]
)
def test_no_finally_of_a_dead_process_runs(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """`Database.end` is called in a ``finally``: by whoever leaves in order, never by the dead."""
    left: list[tuple[int, str]] = []
    end = Database.end

    def watched(self: Database) -> None:
        owner = CURRENT.get()
        if owner is not None and owner.node == "shop":
            left.append((owner.number, owner.state))
        end(self)

    monkeypatch.setattr(Database, "end", watched)
    planned: Plan = plan(faults=(fault,))
    result = run(planned)
    assert result.effects[fault.kind] == 1
    assert result.violations == []
    assert {state for _, state in left} == {"alive"}
    assert {number for number, _ in left} == {2}


def test_a_run_leaves_nothing_behind_wherever_its_processes_were_killed() -> None:
    """While they connect and declare, too: what was given up there is kept until it has ended.

    In a process of its own: this one holds what its tests have logged and raised.
    """
    asked = [sys.executable, "-c", _LEFT_BEHIND]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0"] * 4


_LEFT_BEHIND = """
import gc
from sim.handles import SimTask
from sim.plan import Fault
from sim.run import run
from tests.sim.plans import MUG, SHIPPED, kill, plan

for at_s in (0.1, 0.15, 0.2, 0.25):
    resets = [Fault(number=at, kind="reset", at_s=at_s + at / 100, for_s=0.1) for at in range(3)]
    run(plan(orders=(), faults=(*resets, kill(9, at_s + 0.05)), safety_s=3.0))
    gc.collect()
    print(sum(isinstance(one, SimTask) for one in gc.get_objects()))
"""


def test_a_run_is_not_at_rest_while_a_request_is_on_its_way_to_a_party() -> None:
    """Whoever sent it has given up and asked again; what it does when it arrives is judged, too."""
    facts = {"late_s": 40.0, "only": "authorise", "left": 1}
    late = Fault(number=1, kind="call-late", at_s=0.1, for_s=20.0, target="provider", facts=facts)
    seen: list[Running] = []
    result = run(plan(faults=(late,)), attach=seen.append)
    assert result.violations == []
    assert result.fired == {"call-late": 1}
    assert seen[0].rested_at_s > 40.0


def test_a_run_is_not_at_rest_while_a_process_is_down_that_is_to_come_back() -> None:
    """With all orders done nobody misses it, and nobody would see how it comes back."""
    late = Fault(number=1, kind="kill", at_s=19.0, for_s=15.0, target="shop")
    seen: list[Running] = []
    result = run(plan(faults=(late,), safety_s=20.0), attach=seen.append)
    assert result.violations == []
    assert result.cases["no_child_ends_silently"] > 0
    assert seen[0].rested_at_s > 34.0


def test_a_run_is_not_at_rest_while_somebody_waits_for_a_disk() -> None:
    """What was asked of a disk that had stalled is carried out when the stall would have ended.

    A shop that was killed does not know the order: the look reads it, and is not waited for.
    """
    kill = Fault(number=1, kind="kill", at_s=15.0, for_s=1.0, target="shop")
    stall = Fault(number=2, kind="disk-stall", at_s=19.0, for_s=40.0, target="shop")
    look = Act(do="look", after_s=18.4)
    orders = (Order(number=1, at_s=0.5, items=MUG, acts=(SHIPPED, look)),)
    seen: list[Running] = []
    result = run(plan(orders=orders, faults=(kill, stall), safety_s=20.0), attach=seen.append)
    assert result.violations == []
    assert seen[0].rested_at_s > 59.0
