"""Everything that is seen of one run while it goes on, in one place for the judges."""

import msgspec

from sim.engine import Engine
from sim.incarnation import CURRENT
from sim.judges.observed import Call, Commit, Incident, Removal
from sim.node import Node
from sim.watch.broker import Address, BrokerWatch
from sim.watch.commits import CommitWatch

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
        self._statements = CommitWatch(self.clock, self._committed)
        self._outbox: dict[tuple[str, int], Address] = {}
        engine.network.bystander = self.broker.listen

    def attend(self, node: Node) -> None:
        """Watch a node's disk."""
        node.storage.bystander = self._statements.watch

    def clock(self) -> tuple[float, int]:
        """Return virtual seconds and the trace's step of now."""
        return self._engine.loop.time(), self._engine.trace.count

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
        if commit.table == "outbox":
            if commit.verb == "insert":
                self._waiting(commit)
            elif commit.verb == "delete":
                self._removed(commit)

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
        fate = self.broker.fate(commit.node, commit.incarnation, address)
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
