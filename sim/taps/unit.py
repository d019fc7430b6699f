"""What passes a tap on an AMQP connection, piece by piece, and the rules that meddle with it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pamqp.commands import Basic
from pamqp.header import ContentHeader

from sim.chance import Chance
from sim.taps.channel import ChannelNumbers
from sim.taps.frames import Frame

if TYPE_CHECKING:
    from sim.taps.amqp import AmqpTap

On = Literal["publish", "confirm", "deliver", "ack"]


class Unit:
    """A publish, a confirm, a delivery or an ack, whole.

    ``tag`` is the number by which the *client* knows a publish or a confirm, and an ack; that of a
    delivery is the broker's. ``queue`` is known of deliveries and acks. ``frames`` are the bytes as
    they came (none of a confirm or an ack: those are made anew).
    """

    __slots__ = ("exchange", "frames", "key", "numbers", "on", "positive", "queue", "tag")

    def __init__(
        self,
        on: On,
        numbers: ChannelNumbers,
        tag: int,
        *,
        frames: tuple[Frame, ...] = (),
        exchange: str = "",
        key: str = "",
        queue: str = "",
        positive: bool = True,
    ) -> None:
        self.on = on
        self.numbers = numbers
        self.tag = tag
        self.frames = frames
        self.exchange = exchange
        self.key = key
        self.queue = queue
        self.positive = positive

    @property
    def channel(self) -> int:
        """The channel's number."""
        return self.numbers.number

    def properties(self) -> Basic.Properties:
        """Decode the properties of a publish or a delivery."""
        header = ContentHeader()
        header.unmarshal(self.frames[1].payload)
        properties: Basic.Properties = header.properties
        return properties

    def body(self) -> bytes:
        """Return the body of a publish or a delivery."""
        return b"".join(frame.payload for frame in self.frames[2:])

    @property
    def message_id(self) -> str:
        """The message's id."""
        return self.properties().message_id or ""


class Rule:
    """Meddles with some units of one kind: ``act`` does what is done instead of passing them on.

    Those that come from (or go to) the client ``node``, if it names one, are left to ``chance``,
    which is about a routing key, a queue, or the beginning of one.
    """

    def __init__(
        self,
        on: On,
        act: Callable[["AmqpTap", Unit], None],
        chance: Chance,
        node: str = "",
    ) -> None:
        self.on = on
        self.act = act
        self._chance = chance
        self._node = node

    def wants(self, tap: "AmqpTap", unit: Unit) -> bool:
        """Whether this one is taken."""
        return self._node in ("", tap.client) and self._about(unit) and self._chance.takes()

    def _about(self, unit: Unit) -> bool:
        only = self._chance.only
        return not only or unit.key.startswith(only) or unit.queue.startswith(only)


class Rules:
    """All rules of a run that are in force, in the order in which they came."""

    def __init__(self) -> None:
        self._in_force: dict[On, list[Rule]] = {
            "publish": [],
            "confirm": [],
            "deliver": [],
            "ack": [],
        }

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        self._in_force[rule.on].append(rule)

    def drop(self, rule: Rule) -> None:
        """Take a rule out of force."""
        if rule in self._in_force[rule.on]:
            self._in_force[rule.on].remove(rule)

    def any(self, on: On) -> bool:
        """Whether there is a rule for units of this kind."""
        return bool(self._in_force[on])

    def taking(self, tap: "AmqpTap", unit: Unit) -> Rule | None:
        """Return the first rule that wants this unit."""
        for rule in self._in_force[unit.on]:
            if rule.wants(tap, unit):
                return rule
        return None
