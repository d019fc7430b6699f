"""A run as data: the world's shape, what its customers do, and which faults happen when.

Everything that a run does follows from its `Plan`, so a plan can be saved, edited, replayed and
shrunk. What a seed adds is only a draw (`sim.draw`): the draw makes a plan, the plan makes the run.
Times are virtual seconds from the start of the run.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec

Shape = Literal["together", "apart"]
Action = Literal["pay", "move", "cancel", "ship", "look", "watch"]
After = Literal["broker-returns", "service-stays-dead", "broker-stays-dead"]
STEPS_MAX = 5_000_000
VIRTUAL_S_MAX = 3600.0


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a customer (or for ``ship``, the operator) does to an order.

    It is done ``after_s`` seconds after the order was accepted, or as soon as a customer who looks
    sees the order's status ``on`` (and after_s later). ``again`` times it is sent once more with
    the same key after an answer; ``twins`` are sent at the same time; ``wrong`` times something
    else is asked for under the same key, after the answer.
    """

    do: Action
    after_s: float = 0.0
    on: str = ""
    card: str = ""
    again: int = 0
    twins: int = 0
    wrong: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One customer's order, placed at ``at_s``."""

    number: int
    at_s: float
    items: tuple[tuple[str, int], ...]
    card: str = "pm_card_visa"
    acts: tuple[Act, ...] = ()
    again: int = 0
    twins: int = 0
    wrong: int = 0


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault: its ``kind`` (see `sim.faults`), when it begins, how long it lasts, and to whom.

    ``number`` names the stream that it draws from, so that taking another fault out of the plan
    moves nothing here. ``facts`` are the kind's own parameters.
    """

    number: int
    kind: str
    at_s: float
    for_s: float = 0.0
    target: str = ""
    facts: dict[str, Any] = {}


class World(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the system is set up. ``settings`` are the product's own, by key.

    ``together`` is `ordermill up` in one process; ``apart`` one process a service, with a broker
    node of their own. ``ending`` says what heals when faults stop.
    """

    shape: Shape = "together"
    own_broker: bool = False
    ending: After = "broker-returns"
    dead_service: str = ""
    settings: dict[str, Any] = {}
    latency_s_max: float = 0.003
    disk_s_max: float = 0.002


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a run. ``safety_s``: how long faults and work go on; ``liveness_s_max``: the bound.

    A run of more than ``steps_max`` steps of the scheduler, or of more than ``virtual_s_max``
    seconds, is ended and has failed.
    """

    scenario: str
    seed: int
    world: World = World()
    orders: tuple[Order, ...] = ()
    faults: tuple[Fault, ...] = ()
    safety_s: float = 60.0
    liveness_s_max: float = 600.0
    steps_max: int = STEPS_MAX
    virtual_s_max: float = VIRTUAL_S_MAX

    def digest(self) -> str:
        """Return the first letters of the plan's hash: the last part of a replay token."""
        return hashlib.blake2b(to_json(self), digest_size=4).hexdigest()


def to_json(plan: Plan) -> bytes:
    """Return the plan as JSON, the same bytes for the same plan."""
    return msgspec.json.encode(plan, order="deterministic")


def from_json(data: bytes) -> Plan:
    """Read a plan; raises msgspec.ValidationError where it is none."""
    return msgspec.json.decode(data, type=Plan, strict=True)


def read_plan(path: Path) -> Plan:
    """Read a plan from a file."""
    return from_json(path.read_bytes())
