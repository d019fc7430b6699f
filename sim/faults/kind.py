"""What a kind of fault is, and one fault under way.

The law: a kind's ``inject`` makes it happen and returns the function that heals it (None where
there is nothing to heal). A fault that finds no victim has not *fired*; one that fired is
*effective* only once it has made a difference to somebody, and it says so then: a message really
lost, a write really delayed. A fault that never makes a difference tests nothing.
"""

import random
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from sim.chance import Chance
from sim.engine import Engine
from sim.node import Node
from sim.plan import Fault, World
from sim.taps.switchboard import Switchboard
from sim.world import SimulatedWorld

Heal = Callable[[], None]
Needs = Literal["", "amqp", "http"]


class NoVictim(Exception):
    """There was nobody to hit: the node was down already, or the path had no connection."""


class Strike:
    """One fault under way: ``rng`` is its own, ``happened`` counts what it did."""

    def __init__(
        self,
        world: SimulatedWorld,
        board: Switchboard,
        fault: Fault,
        effective: Callable[[Fault, str], None],
    ) -> None:
        self.world = world
        self.board = board
        self.fault = fault
        self.rng = world.engine.seed.stream("fault", fault.number)
        self._effective = effective

    @property
    def engine(self) -> Engine:
        """The run's engine."""
        return self.world.engine

    def fact(self, name: str, default: Any) -> Any:
        """Return one of the fault's own parameters."""
        return self.fault.facts.get(name, default)

    def chance(self, **limits: int) -> Chance:
        """Return what the fault takes by its own facts, unless ``limits`` say otherwise."""
        facts = self.fault.facts
        own: dict[str, Any] = {
            name: facts[name] for name in ("only", "share", "skip", "left") if name in facts
        }
        return Chance(self.rng, **(own | limits))

    def node(self) -> Node:
        """Return the node that the fault is aimed at; `NoVictim` if it is down."""
        node = self.world.nodes[self.fault.target]
        if not node.up:
            raise NoVictim(self.fault.target)
        return node

    def ends(self) -> tuple[str, str]:
        """Return the two nodes of the path (``one|other``) that the fault is aimed at."""
        one, _, other = self.fault.target.partition("|")
        return one, other

    def happened(self, *facts: str | float, variety: str = "") -> None:
        """The fault has made a difference; ``variety`` names a sort that is counted by itself."""
        self.engine.note("effect", self.fault.number, self.fault.kind, variety, *facts)
        self._effective(self.fault, variety)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a seed decides of one fault: to whom, for how long, and the kind's own facts."""

    target: str = ""
    for_s: float = 0.0
    facts: dict[str, Any] = {}


Inject = Callable[[Strike], Heal | None]
Draw = Callable[[random.Random, World], Draft | None]


class Kind(msgspec.Struct, frozen=True):
    """A kind of fault; ``draw`` says how a seed draws one in a world (None: there it cannot be)."""

    name: str
    inject: Inject
    draw: Draw
    needs: Needs = ""

    @property
    def what(self) -> str:
        """What it does, in a sentence or two for users."""
        return " ".join((self.inject.__doc__ or "").split())
