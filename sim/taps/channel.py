"""The numbers of one channel, as each side counts them.

AMQP counts publishes and deliveries without ever writing most of the numbers down. Once a tap has
swallowed or added one, the two sides count differently from there on; this file translates.
"""

from sim.taps.frames import Frame, body_size


class Content:
    """Collects the frames of a method with its content, of one direction of a channel."""

    __slots__ = ("_frames", "_left")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._left = -1

    def begin(self, frame: Frame) -> None:
        """A method has come that a content follows."""
        self._frames, self._left = [frame], -1

    def add(self, frame: Frame) -> tuple[Frame, ...] | None:
        """Take a header or body frame; return all frames once the content is complete."""
        self._frames.append(frame)
        if self._left < 0:
            self._left = body_size(frame.payload)
        else:
            self._left -= len(frame.payload)
        return None if self._left else tuple(self._frames)


class ChannelNumbers:
    """One open channel. ``confirming`` once the client has asked for confirms.

    ``publishes``: the broker's number of each unsettled publish -> the client's (0: it is not the
    client's). ``deliveries``: the client's tag of each unsettled delivery -> the broker's. ``open``
    are the client's numbers of which he has not heard.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.confirming = False
        self.up, self.down = Content(), Content()
        self.open: dict[int, None] = {}
        self.publishes: dict[int, int] = {}
        self.deliveries: dict[int, int] = {}
        self.queues: dict[str, str] = {}
        self.queue_of: dict[int, str] = {}
        self.publishes_differ = self.deliveries_differ = False
        self._published = self._forwarded = self._delivered = 0

    # -- publishes --------------------------------------------------------------------------------

    def published(self) -> int:
        """The client has published; return its number for it (0 on a channel without confirms)."""
        if self.confirming:
            self._published += 1
            self.open[self._published] = None
        return self._published

    def forwarded(self, clients: int) -> None:
        """A publish goes to the broker; ``clients`` is the client's number, 0 if it is not his."""
        if self.confirming:
            self._forwarded += 1
            self.publishes[self._forwarded] = clients
            self.publishes_differ = self.publishes_differ or clients != self._forwarded

    def confirmed(self, tag: int, multiple: bool) -> list[int]:
        """The broker has settled these; return the client's numbers of those that are his."""
        tags = [one for one in self.publishes if one <= tag] if multiple else [tag]
        numbers = [self.publishes.pop(one, 0) for one in tags]
        return [number for number in numbers if number]

    # -- deliveries -------------------------------------------------------------------------------

    def delivered(self, brokers: int, queue: str) -> int:
        """A delivery goes to the client; return the tag by which he will know it."""
        self._delivered += 1
        self.deliveries[self._delivered] = brokers
        self.queue_of[self._delivered] = queue
        self.deliveries_differ = self.deliveries_differ or self._delivered != brokers
        return self._delivered

    def acked(self, tag: int, multiple: bool) -> list[int]:
        """The client settles these of his tags; what the broker has back already is not there."""
        if multiple:
            return [one for one in self.deliveries if one <= tag or tag == 0]
        return [tag] if tag in self.deliveries else []

    def forget(self, tag: int) -> int:
        """One of the client's tags is settled; return the broker's."""
        del self.queue_of[tag]
        return self.deliveries.pop(tag)
