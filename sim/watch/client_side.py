"""The client's side of one AMQP connection: what this process knows, and when.

A publisher knows the fate of a message by the confirms that reached it; a consumer has what was
given to it, and its acks count from when they are written.
"""

from typing import Any, NamedTuple

from sim.judges.observed import Delivery, Fate, Written
from sim.watch import frames
from sim.watch.clock import Clock
from sim.watch.frames import Frame, Reader


class Address(NamedTuple):
    """A message as its publisher addresses it."""

    message_id: str
    exchange: str
    routing_key: str


class Fates:
    """The fates of everything that was published in confirm mode, by whom, in order."""

    def __init__(self) -> None:
        self.by_sender: dict[tuple[str, int, Address], Fate] = {}

    def of(self, whose: tuple[str, int], address: Address) -> Fate:
        """Return a message's fate as far as this incarnation of a node has seen."""
        return self.by_sender.setdefault((*whose, address), Fate())


class _Confirms:
    """A channel in confirm mode: what is open, by its number, and what of it has come ``back``."""

    __slots__ = ("back", "last", "open")

    def __init__(self) -> None:
        self.last = 0
        self.open: dict[int, Fate] = {}
        self.back: set[int] = set()

    def returned(self, fate: Fate) -> None:
        """Note that the first open one of these came back; the ack that follows says nothing."""
        for number, one in self.open.items():
            if one is fate and number not in self.back:
                self.back.add(number)
                return


class ClientSide:
    """``whose``: the node and the incarnation that has made the connection."""

    def __init__(
        self,
        clock: Clock,
        whose: tuple[str, int],
        fates: Fates,
        written: list[Written],
        delivered: list[Delivery],
    ) -> None:
        self.reader = Reader()
        self._clock = clock
        self._whose = whose
        self._fates = fates
        self._written = written
        self._delivered = delivered
        self._writing = Reader()
        self._confirms: dict[int, _Confirms] = {}
        self._queues: dict[tuple[int, str], str] = {}
        self._held: dict[int, dict[int, Delivery]] = {}

    def unacked(self) -> int:
        """Return how many deliveries it holds."""
        return sum(map(len, self._held.values()))

    def wrote(self, data: bytes) -> None:
        """It has written bytes."""
        for frame in self._writing.feed(data):
            match frame.method:
                case frames.PUBLISH:
                    self._published(frame)
                case frames.ACK:
                    self._acked(frame)
                case frames.CONSUME:
                    queue, tag = frames.short_texts(frame.payload, 2, 2)
                    self._queues[frame.channel, tag] = queue
                case frames.CONFIRM_SELECT:
                    self._confirms[frame.channel] = _Confirms()
                case frames.CHANNEL_CLOSE:
                    self._held.pop(frame.channel, None)

    def got(self, data: bytes) -> None:
        """It has been given bytes."""
        for frame in self.reader.feed(data):
            match frame.method:
                case frames.DELIVER:
                    self._given(frame)
                case frames.ACK | frames.NACK:
                    self._confirmed(frame)
                case frames.RETURN:
                    self._returned(frame)
                case frames.CHANNEL_CLOSE:
                    self._held.pop(frame.channel, None)
                case frames.BLOCKED:
                    for confirms in self._confirms.values():
                        for fate in confirms.open.values():
                            fate.blocked += 1

    # -- publishing -------------------------------------------------------------------------------

    def _published(self, frame: Frame) -> None:
        exchange, routing_key = frames.short_texts(frame.payload, 2, 2)
        address = _address(frame, exchange, routing_key)
        where = exchange, routing_key, address.message_id
        self._written.append(Written(*self._clock(), *self._whose, *where))
        confirms = self._confirms.get(frame.channel)
        if confirms is not None:
            fate = self._fates.of(self._whose, address)
            fate.sent += 1
            confirms.last += 1
            confirms.open[confirms.last] = fate

    def _confirmed(self, frame: Frame) -> None:
        confirms = self._confirms.get(frame.channel)
        if confirms is None:
            return
        tag, multiple = frames.tag_and_bit(frame.payload)
        settled = [one for one in confirms.open if one <= tag] if multiple else [tag]
        for one in settled:
            fate = confirms.open.pop(one, None)
            if fate is not None and frame.method == frames.NACK:
                fate.nacked += 1
            elif fate is not None and one not in confirms.back:
                fate.acked += 1
            confirms.back.discard(one)
        if multiple and len(settled) > 1:
            for fate in confirms.open.values():
                fate.behind += 1

    def _returned(self, frame: Frame) -> None:
        _, exchange, routing_key = frames.short_texts(frame.payload, 2, 3)
        fate = self._fates.of(self._whose, _address(frame, exchange, routing_key))
        fate.returned += 1
        confirms = self._confirms.get(frame.channel)
        if confirms is not None:
            confirms.returned(fate)

    # -- consuming --------------------------------------------------------------------------------

    def _given(self, frame: Frame) -> None:
        (tag,) = frames.short_texts(frame.payload, 0, 1)
        number, redelivered = frames.tag_and_bit(frame.payload[1 + len(tag.encode()) :])
        at, step = self._clock()
        told = frames.properties(frame.header)
        delivery = Delivery(
            at,
            step,
            *self._whose,
            self._queues.get((frame.channel, tag), ""),
            str(told.get("message_id", "")),
            redelivered,
            _headers(told).get("x-requeued") is True,
        )
        self._delivered.append(delivery)
        self._held.setdefault(frame.channel, {})[number] = delivery

    def _acked(self, frame: Frame) -> None:
        held = self._held.get(frame.channel, {})
        tag, multiple = frames.tag_and_bit(frame.payload)
        at, step = self._clock()
        for one in [one for one in held if one <= tag] if multiple else [tag]:
            delivery = held.pop(one, None)
            if delivery is not None:
                delivery.acked_at, delivery.acked_step = at, step


def _address(frame: Frame, exchange: str, routing_key: str) -> Address:
    return Address(frames.message_id(frame.header), exchange, routing_key)


def _headers(told: dict[str, Any]) -> dict[str, Any]:
    headers = told.get("headers")
    return headers if isinstance(headers, dict) else {}
