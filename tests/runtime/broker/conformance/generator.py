"""Seeded sequences of steps, legal and not, over connections, channels, queues and exchanges.

The rehearsal on the core is looked at (what is there, what is held where), so that most steps mean
something.
"""

import json
from collections.abc import Callable, Iterator

from runtime.broker.channel import Channel
from runtime.broker.vhost import VirtualHost
from tests.runtime.broker.conformance.differential import Rehearsal
from tests.runtime.broker.conformance.draws import EXCHANGES, KEYS, QUEUES, Draws
from tests.runtime.broker.conformance.targets import InMemory, Pipe

TAGS = ("c", "d", "e")


class Generator:
    """The steps of one seed."""

    def __init__(self, seed: int) -> None:
        self._draws = Draws(seed)
        self._random = self._draws.random
        self._target = InMemory()
        self.rehearsal = Rehearsal(self._target)
        draw = self._random
        self._peers = "ABC"[: draw.choice((1, 1, 2, 2, 3))]
        self._channels = draw.choice((1, 2, 2))
        self._weights = {move: weight * draw.choice((0.3, 1, 1, 3)) for move, weight in _MOVES}
        self._published = 0

    def run(self, count: int) -> list[str]:
        """Rehearse until there are so many steps; return the lines that led to them."""
        for queue in QUEUES[: self._random.randint(1, 3)]:
            self.rehearsal.do(self._say("queue.declare", **self._draws.queue(queue)))
        moves, weights = zip(*self._weights.items(), strict=True)
        while len(self.rehearsal.steps) < count:
            for line in self._random.choices(moves, weights)[0](self):
                self.rehearsal.do(line)
        return self.rehearsal.lines

    # -- choices ----------------------------------------------------------------------------------

    def _place(self) -> str:
        return f"{self._random.choice(self._peers)}{self._random.randint(1, self._channels)}"

    def _say(self, method: str, place: str | None = None, **fields: object) -> str:
        said = " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
        return f"{place or self._place()} > {method} {said}".rstrip()

    def _channel(self, place: str) -> Channel | None:
        peer = self.rehearsal.performance.stage.peers.get(place[0])
        if peer is None:
            return None
        assert isinstance(peer.wire, Pipe)
        return peer.wire.connection.channels.get(int(place[1:]))

    @property
    def _vhost(self) -> VirtualHost:
        return self._target.broker.vhosts["/"]

    def _queue(self) -> str:
        if self._draws.errs():
            return self._random.choice(("missing", "", "amq.forbidden"))
        return self._random.choice(list(self._vhost.queues) or QUEUES)

    def _exchange(self, *, own: bool = False) -> str:
        if self._draws.errs():
            return self._random.choice(("missing", "amq.forbidden", "", "amq.direct"))
        known = [name for name in EXCHANGES if name in self._vhost.exchanges.by_name]
        if known and (own or not self._draws.one_in(3)):
            return self._random.choice(known)
        return self._random.choice(("amq.topic", "amq.fanout", "amq.headers"))

    # -- queues and exchanges ---------------------------------------------------------------------

    def declare(self) -> Iterator[str]:
        missing = [name for name in QUEUES if name not in self._vhost.queues]
        if missing and self._draws.one_in(2.5):
            yield self._say("queue.declare", **self._draws.queue(self._random.choice(missing)))
        elif self._draws.errs():
            yield self._say("queue.declare", **self._draws.queue(self._random.choice(QUEUES)))
        else:
            yield self._say("queue.declare", queue=self._queue(), passive=True)

    def declare_nameless(self) -> Iterator[str]:
        if self._draws.may("auto_delete") or self._draws.may("exclusive"):
            place = self._place()
            yield self._say("queue.declare", place, exclusive=self._draws.one_in(2))
            yield self._say("queue.bind", place, exchange=self._exchange())

    def delete(self) -> Iterator[str]:
        name = self._queue()
        fields: dict[str, object] = {"queue": name}
        found = self._vhost.queues.get(name)
        for flag in ("if_unused", "if_empty"):
            allowed = found is None or not found.is_quorum or self._draws.errs()
            if allowed and self._draws.one_in(3):
                fields[flag] = True
        yield self._say("queue.delete", **fields)

    def purge(self) -> Iterator[str]:
        yield self._say("queue.purge", queue=self._queue())

    def declare_exchange(self) -> Iterator[str]:
        name = self._random.choice(EXCHANGES)
        known = name in self._vhost.exchanges.by_name
        fields = self._draws.exchange(name)
        if known and not self._draws.errs():
            fields["passive"] = True
        yield self._say("exchange.declare", **fields)

    def delete_exchange(self) -> Iterator[str]:
        name = self._exchange(own=True)
        if not name.startswith("amq.") or self._draws.errs():
            yield self._say("exchange.delete", exchange=name, if_unused=self._draws.one_in(2))

    def bind(self) -> Iterator[str]:
        verb = self._random.choice(("bind", "bind", "bind", "unbind"))
        if self._draws.one_in(1.4):
            ends = {"queue": self._queue(), "exchange": self._exchange()}
            yield self._say(f"queue.{verb}", **ends, **self._draws.binding())
        else:
            ends = {"destination": self._exchange(), "source": self._exchange()}
            yield self._say(f"exchange.{verb}", **ends, **self._draws.binding())

    # -- messages ---------------------------------------------------------------------------------

    def publish(self) -> Iterator[str]:
        for _ in range(self._random.choice((1, 1, 1, 2, 5))):
            self._published += 1
            address: dict[str, object] = {"routing_key": self._queue()}
            if self._draws.one_in(2.5):
                address = {"exchange": self._exchange(), "routing_key": self._random.choice(KEYS)}
            message = self._draws.message(self._published, QUEUES)
            yield self._say("basic.publish", **address, **message)

    def consume(self) -> Iterator[str]:
        draw = self._random
        place = self._place()
        channel = self._channel(place)
        free = [tag for tag in TAGS if channel is None or tag not in channel.consumers]
        if not free and not self._draws.errs():
            return
        tag = draw.choice(free or TAGS)
        fields: dict[str, object] = {"queue": self._queue(), "consumer_tag": tag}
        if self._draws.one_in(4):
            fields["no_ack"] = True
        if self._draws.one_in(12):
            fields["exclusive"] = True
        if self._draws.may("consumer_priorities"):
            fields["arguments"] = {"x-priority": draw.choice((-1, 0, 1, 2))}
        if self._draws.errs():
            fields["arguments"] = {"x-priority": "high"}
        yield self._say("basic.consume", place, **fields)

    def cancel(self) -> Iterator[str]:
        place = self._place()
        channel = self._channel(place)
        known = [] if channel is None else list(channel.consumers)
        tag = self._random.choice(known or TAGS)
        yield self._say("basic.cancel", place, consumer_tag=tag)

    def get(self) -> Iterator[str]:
        found = self._vhost.queues.get(name := self._queue())
        single = found is not None and found.is_quorum and found.options.single_active
        if not single or self._draws.errs():
            yield self._say("basic.get", queue=name, no_ack=self._draws.one_in(3))

    def settle(self) -> Iterator[str]:
        draw = self._random
        places = [f"{peer}{number + 1}" for peer in self._peers for number in range(self._channels)]
        holding = {
            place: list(channel._held)
            for place in places
            if (channel := self._channel(place)) is not None and channel.unacked
        }
        if not holding and not self._draws.errs():
            return
        place = draw.choice(list(holding) or places)
        wrong = not holding or self._draws.errs()
        tag = draw.choice((0, 999)) if wrong else draw.choice(holding[place])
        method = draw.choice(("ack", "ack", "nack", "nack", "reject"))
        fields: dict[str, object] = {"delivery_tag": tag}
        if method != "reject" and self._draws.one_in(3):
            fields["multiple"] = True
        if method != "ack" and self._draws.one_in(2):
            fields["requeue"] = False
        yield self._say(f"basic.{method}", place, **fields)

    def recover(self) -> Iterator[str]:
        method = self._random.choice(("basic.recover", "basic.recover", "basic.recover-async"))
        yield self._say(method, requeue=not self._draws.errs())

    def qos(self) -> Iterator[str]:
        fields: dict[str, object] = {"prefetch_count": self._random.choice((0, 1, 1, 2, 3))}
        if self._draws.may("shared_prefetch", 0.6):
            fields["global_"] = True
        if self._draws.errs():
            fields["prefetch_size"] = 1
        yield self._say("basic.qos", **fields)

    # -- channels and connections -----------------------------------------------------------------

    def select(self) -> Iterator[str]:
        place = self._place()
        channel = self._channel(place)
        mode = "" if channel is None else channel.mode
        if mode != "confirm" and self._draws.may("transactions"):
            yield self._say("tx.select", place)
        elif mode != "tx" or self._draws.errs():
            yield self._say("confirm.select", place)

    def end_transaction(self) -> Iterator[str]:
        place = self._place()
        channel = self._channel(place)
        if (channel is not None and channel.mode == "tx") or self._draws.errs():
            yield self._say(self._random.choice(("tx.commit", "tx.commit", "tx.rollback")), place)

    def close_channel(self) -> Iterator[str]:
        yield self._say("channel.close")

    def leave(self) -> Iterator[str]:
        peer = self._random.choice(self._peers)
        if peer not in self.rehearsal.performance.stage.peers:
            return
        channels = [self._channel(f"{peer}{number + 1}") for number in range(self._channels)]
        if sum(channel is not None and channel.unacked > 0 for channel in channels) > 1:
            # RabbitMQ ends a connection's channels all at once: what comes back first is free.
            return
        yield self._random.choice((f"drop {peer}", self._say("connection.close", f"{peer}0")))

    def operate(self) -> Iterator[str]:
        known = list(self._vhost.queues)
        if known and self._draws.may("operator"):
            deed = self._random.choice(("delete_queue", "purge_queue"))
            yield f"operate {deed} {self._random.choice(known)}"

    def talk(self) -> Iterator[str]:
        peer = self._random.choice(self._peers)
        yield self._random.choice(
            (
                self._say("channel.flow", active=not self._draws.errs()),
                self._say("connection.update-secret", f"{peer}0", new_secret="s", reason="r"),
                f"{peer}0 > raw 08 0000 00000000 ce",
            )
        )


Move = Callable[[Generator], Iterator[str]]
_MOVES: tuple[tuple[Move, float], ...] = (
    (Generator.publish, 12),
    (Generator.consume, 4),
    (Generator.settle, 14),
    (Generator.get, 3),
    (Generator.cancel, 1.5),
    (Generator.qos, 1.5),
    (Generator.declare, 2),
    (Generator.declare_nameless, 0.3),
    (Generator.delete, 0.4),
    (Generator.purge, 0.3),
    (Generator.declare_exchange, 1),
    (Generator.delete_exchange, 0.2),
    (Generator.bind, 2),
    (Generator.recover, 0.5),
    (Generator.select, 0.7),
    (Generator.end_transaction, 1),
    (Generator.close_channel, 0.4),
    (Generator.leave, 0.4),
    (Generator.operate, 0.3),
    (Generator.talk, 0.2),
)
