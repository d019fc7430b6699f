"""Where dead letters wait for their onward journey.

They leave only after what killed them has been routed, as in RabbitMQ. A queue with the strategy
``at-least-once`` keeps a letter until every queue it is routed to has taken it: where there is no
route it waits for a new binding, where one refuses it is offered again after three minutes. With
``at-most-once`` it is dropped. Leaving one queue and entering the next is noted in the same batch
of the journal, so that a crash finds the message in one of them.
"""

from collections import deque
from typing import TYPE_CHECKING

from runtime.broker.dead_letters import dead_letter, goes_in_circles
from runtime.broker.entry import Entry
from runtime.broker.messages import Message
from runtime.broker.queue import Queue
from runtime.broker.timers import Clock, Timers

if TYPE_CHECKING:
    from runtime.broker.vhost import VirtualHost

RETRY_S = 180.0  # RabbitMQ's dead_letter_worker_publisher_confirm_timeout


class _Dead:
    """An entry that has left its queue; ``taken`` names the queues that have it already."""

    __slots__ = ("entry", "letter", "queue", "reason", "taken")

    def __init__(self, queue: Queue, entry: Entry, reason: str) -> None:
        self.queue = queue
        self.entry = entry
        self.reason = reason
        self.letter: Message | None = None
        self.taken: dict[str, None] = {}


class Cemetery:
    """The dead letters of one virtual host."""

    def __init__(
        self,
        vhost: "VirtualHost",
        clock: Clock,
        timers: Timers,
        unsettled: dict["VirtualHost", None],
    ) -> None:
        self._vhost = vhost
        self._unsettled = unsettled
        self._clock = clock
        self._timers = timers
        self._dead: deque[_Dead] = deque()
        self._waiting: list[_Dead] = []
        self._retrying = False

    def bury(self, queue: Queue, entry: Entry, reason: str) -> None:
        """Take up an entry that has left its queue for this reason."""
        if queue.options.at_least_once:
            queue.dead_letter_waits(entry, 1)
        self._dead.append(_Dead(queue, entry, reason))
        self._unsettled[self._vhost] = None

    def settle(self) -> None:
        """Send everything on that can be."""
        while self._dead:
            dead = self._dead.popleft()
            arrived = self._send_on(dead)
            queue, entry = dead.queue, dead.entry
            if queue.options.at_least_once and not arrived:
                if not queue.deleted:
                    self._waiting.append(dead)
                    self._retry_later()
                continue
            queue.remove(entry)
            if queue.options.at_least_once:
                queue.dead_letter_waits(entry, -1)

    def _send_on(self, dead: _Dead) -> bool:
        """Whether every queue that the letter is routed to has it, and there is at least one."""
        vhost, options = self._vhost, dead.queue.options
        exchange = vhost.exchanges.by_name.get(options.dead_letter_exchange or "")
        if exchange is None:
            return False
        letter = dead.letter
        if letter is None:
            letter = dead.letter = dead_letter(
                dead.entry.message, dead.queue.name, dead.reason, exchange.name,
                options.dead_letter_key, int(self._clock.wall()),
            )  # fmt: skip
        sender = dead.queue if options.at_least_once else None
        complete = True
        for name in vhost.exchanges.queues(exchange, letter):
            heir = vhost.queues.get(name)
            if heir is None or name in dead.taken or goes_in_circles(letter, dead.reason, name):
                continue
            if heir.publish(letter, sender):
                dead.taken[name] = None
            else:
                complete = False
        return complete and bool(dead.taken)

    def retry(self) -> None:
        """Take up again what could not be sent on."""
        if self._waiting:
            self._dead.extend(dead for dead in self._waiting if not dead.queue.deleted)
            self._waiting = []
            self._unsettled[self._vhost] = None

    def _retry_later(self) -> None:
        if self._retrying:
            return
        self._retrying = True

        def again() -> None:
            self._retrying = False
            self.retry()

        self._timers.at(self._clock.monotonic() + RETRY_S, again)
