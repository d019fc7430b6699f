"""Everything that is seen of one run while it goes on, in one place for the judges."""

from collections.abc import Callable, Container, Iterator, Sequence

import msgspec

from runtime.child import SupervisorSpec
from runtime.node import NodeStatus
from sim.engine import Engine
from sim.history import Answered, Sent, Watching
from sim.incarnation import CURRENT
from sim.judges.observed import (
    Call,
    Child,
    Commit,
    Incident,
    Life,
    Observed,
    Reading,
    Removal,
    Struck,
)
from sim.node import Node
from sim.plan import Fault
from sim.watch.broker import BrokerWatch
from sim.watch.client_side import Address
from sim.watch.commits import CommitWatch
from sim.watch.holdings import Holdings
from sim.watcher import Watcher

Trees = tuple[SupervisorSpec, Callable[[], NodeStatus]]
PARTIES = ("provider", "carrier", "mailer")
Depths = Callable[[], Sequence[tuple[str, int, int]]]
"""Returns each mailbox's name, how much is in it, and how much it takes."""
_TEXT = (str, int, float, bool)


class Witness:
    """Attached to a world before it starts. Lists are in the order in which things happened."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.broker = BrokerWatch(self.clock)
        self.commits: list[Commit] = []
        self.removals: list[Removal] = []
        self.calls: list[Call] = []
        self.incidents: list[Incident] = []
        self.lives: list[Life] = []
        self.children: list[Child] = []
        self.holdings = Holdings()
        self.readings: list[Reading] = []
        self.unacked = 0
        self.faulty = False
        self._depths: dict[str, Depths] = {}
        self._fullest: dict[str, tuple[int, int]] = {}
        self._trees: dict[str, Trees] = {}
        self._statements = CommitWatch(self.clock, self._committed)
        self._outbox: dict[tuple[str, int], Address] = {}
        self.struck: list[Struck] = []
        self.history: list[Sent | Answered] = []
        self.watchers: list[Watcher] = []
        self._nodes: dict[str, Node] = {}
        engine.network.bystander = self.broker.listen
        engine.network.on_refused = self.broker.refused

    def attend(self, node: Node) -> None:
        """Watch a node's disk, and the coming and going of its processes."""
        node.storage.bystander = self._statements.watch
        node.chronicle = self
        self._nodes[node.name] = node

    def clock(self) -> tuple[float, int]:
        """Return virtual seconds and the trace's step of now."""
        return self._engine.loop.time(), self._engine.trace.count

    def watching(self) -> list[Watching]:
        """Return what everybody who watches an order has seen."""
        return [watcher.seen for watcher in self.watchers]

    def observed(self) -> Observed:
        """Return all that was seen, once every process has ended."""
        self.broker.finish()
        return Observed(
            commits=self.commits,
            written=self.broker.written,
            published=self.broker.published,
            removals=self.removals,
            consuming=self.broker.consuming,
            delivered=self.broker.delivered,
            calls=self.calls,
            incidents=self.incidents,
            lives=self.lives,
            children=self.children,
            held=self.holdings.held,
            readings=self.readings,
            struck=self.struck,
            history=self.history,
            watching=self.watching(),
            fates=[
                (node, number, address.message_id, fate)
                for (node, number, address), fate in self.broker.fates.by_sender.items()
            ],
            disks={name: list(node.storage.fired) for name, node in self._nodes.items()},
            attempts=self.broker.attempts,
            torn=self.broker.torn(),
            mailboxes=[(name, *figures) for name, figures in self._fullest.items()],
            unacked=self.unacked,
            faulty=self.faulty,
        )

    # -- processes --------------------------------------------------------------------------------

    def began(self, node: str, number: int) -> None:
        """A process has been started."""
        self.lives.append(Life(node, number, self._engine.now))

    def ended(self, node: str, number: int, reason: str, leaked: Sequence[str]) -> None:
        """A process has ended."""
        life = self.life(node)
        life.ended_in = self._state(node)
        life.ended_at, life.reason, life.leaked = self._engine.now, reason, list(leaked)

    def ready(self, node: str, trees: Trees, depths: Depths) -> None:
        """A process serves; ``trees`` are what it is to run, and how that stands when asked."""
        self.life(node).ready_at = self._engine.now
        self._trees[node] = trees
        self._depths[node] = depths

    def told_to_stop(self, node: str) -> None:
        """A process is being told to stop."""
        life = self.life(node)
        if life.told_at is None:
            life.told_at, life.in_hand = self._engine.now, self.broker.held_by(node)

    def life(self, node: str) -> Life:
        """Return the latest process of a node."""
        return next(life for life in reversed(self.lives) if life.node == node)

    def take_census(self, living: Container[str]) -> None:
        """Write down, at rest, how every child of every living process stands, and what is out."""
        self.unacked = self.broker.unacked()
        for node, (wanted, found) in self._trees.items():
            if node in living:
                self.children += _census(node, wanted, found())

    def starting(self, node: str) -> bool:
        """Whether something in the tree of a node's process starts, or is to be started soon."""
        if node not in self._trees:
            return False
        wanted, found = self._trees[node]
        children = _census(node, wanted, found())
        return any(child.state in ("starting", "restarting") for child in children)

    # -- faults -----------------------------------------------------------------------------------

    def fault(self, fault: Fault, variety: str) -> None:
        """A fault has made a difference."""
        at, step = self.clock()
        states = {name: self._state(name) for name in self._trees_of_ours()}
        lives = {name: self.life(name).number for name in states}
        about = fault.kind, variety, fault.target, fault.facts
        self.struck.append(Struck(at, step, *about, states, lives))

    def _trees_of_ours(self) -> list[str]:
        """Return the names of the nodes that run something of ours, as far as they have begun."""
        begun = {life.node for life in self.lives}
        return [name for name in self._nodes if name in begun and name not in PARTIES]

    def _state(self, node: str) -> str:
        life = self.life(node)
        if life.ended_at is not None:  # a kill is told of once it has been done
            return life.ended_in if life.ended_at == self._engine.now else "down"
        if life.told_at is not None:
            return "stopping"
        if life.ready_at is None:
            return "starting"
        return "working" if self.broker.held_by(node) else "idle"

    # -- what they say, ask and write -------------------------------------------------------------

    def heard(self, node: str, name: str, fields: dict[str, object]) -> None:
        """A process has logged an event."""
        at, step = self.clock()
        owner = CURRENT.get()
        number = 0 if owner is None else owner.number
        told = {
            key: value if isinstance(value, _TEXT) else type(value).__name__
            for key, value in fields.items()
            if value is not None
        }
        self.incidents.append(Incident(at, step, node, number, name, told))

    def calling(self, party: str, what: str, key: str, **facts: object) -> "_Calling":
        """Note a call of an outside party; enter the result while it is under way."""
        at, step = self.clock()
        owner = CURRENT.get()
        order_id = str(facts.pop("order_id", key.partition("/")[0]))
        call = Call(
            at=at,
            step=step,
            node="" if owner is None else owner.node,
            incarnation=0 if owner is None else owner.number,
            party=party,
            what=what,
            order_id=order_id,
            key=key,
            facts=facts,
        )
        self.calls.append(call)
        return _Calling(self._engine, call)

    def _committed(self, commit: Commit) -> None:
        self.commits.append(commit)
        if commit.table == "inbox":
            self._measure(commit.node)
        if commit.table == "outbox":
            if commit.verb == "insert":
                self._waiting(commit)
            elif commit.verb == "delete":
                self._removed(commit)

    def _measure(self, node: str) -> None:
        depths = self._depths.get(node)
        for name, depth, capacity in depths() if depths is not None else ():
            before, _ = self._fullest.get(name, (0, 0))
            self._fullest[name] = max(before, depth), capacity

    def _waiting(self, commit: Commit) -> None:
        values = commit.values
        message_id = msgspec.json.decode(values["properties"])["message_id"]
        address = Address(message_id, values["exchange"], values["routing_key"])
        self._outbox[commit.node, commit.row_id] = address

    def _removed(self, commit: Commit) -> None:
        position = commit.where["position"]
        address = self._outbox.pop((commit.node, position), None)
        if address is None:
            return
        fate = self.broker.fates.of((commit.node, commit.incarnation), address)
        self.removals.append(
            Removal(
                at=commit.at,
                step=commit.step,
                node=commit.node,
                position=position,
                message_id=address.message_id,
                sent=fate.sent,
                acked=fate.acked,
                returned=fate.returned,
            )
        )


class _Calling:
    """A call under way. The call of a process that dies never ends."""

    def __init__(self, engine: Engine, call: Call) -> None:
        self._engine = engine
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._call.ended_at = self._engine.now
        self._call.outcome = "" if kind is None else kind.__name__


def _census(node: str, wanted: SupervisorSpec, found: NodeStatus) -> Iterator[Child]:
    """Compare the literal with what there is: a child that is not there has the state *missing*."""
    states = {child.name: child for child in found.children}
    for spec in wanted.children:
        status = states.get(spec.name)
        state = "missing" if status is None else status.state
        yield Child(
            node, wanted.name, spec.name, state, wanted.restarts_max, wanted.restart_window_s
        )
        if isinstance(spec, SupervisorSpec) and status is not None:
            yield from _census(node, spec, status)
