"""Where dead letters wait for their onward journey.

They leave only after what killed them has been routed, as in RabbitMQ. A queue with the strategy
``at-least-once`` keeps a letter that nobody can take until a binding or queue appears, or a minute
has passed; with ``at-most-once`` it is dropped. Leaving one queue and entering the next is noted in
the same batch of the journal, so that a crash finds the message in one of them.
"""

from collections import deque
from typing import TYPE_CHECKING

from runtime.broker.dead_letters import dead_letter, goes_in_circles
from runtime.broker.entry import Entry
from runtime.broker.queue import Queue
from runtime.broker.timers import Clock, Timers

if TYPE_CHECKING:
    from runtime.broker.vhost import VirtualHost

RETRY_S = 60.0


class Cemetery:
    """The dead letters of one virtual host."""

    def __init__(self, vhost: "VirtualHost", clock: Clock, timers: Timers) -> None:
        self._vhost = vhost
        self._clock = clock
        self._timers = timers
        self._dead: deque[tuple[Queue, Entry, str]] = deque()
        self._retrying = False

    def bury(self, queue: Queue, entry: Entry, reason: str) -> None:
        """Take up an entry that has left its queue for this reason."""
        self._dead.append((queue, entry, reason))

    def settle(self) -> None:
        """Send everything on that can be."""
        while self._dead:
            queue, entry, reason = self._dead.popleft()
            if self._send_on(queue, entry, reason) or not queue.options.at_least_once:
                queue.remove(entry)
            elif not queue.deleted:
                queue.undeliverable.append((entry, reason))
                self._retry_later()

    def _send_on(self, queue: Queue, entry: Entry, reason: str) -> bool:
        vhost = self._vhost
        exchange_name = queue.options.dead_letter_exchange or ""
        exchange = vhost.exchanges.by_name.get(exchange_name)
        if exchange is None:
            return False
        key = queue.options.dead_letter_key
        target = (exchange_name, entry.message.routing_key if key is None else key)
        letter = dead_letter(entry.message, queue.name, reason, target, int(self._clock.wall()))
        arrived = False
        for name in vhost.exchanges.queues(exchange, letter):
            heir = vhost.queues.get(name)
            if heir is not None and goes_in_circles(letter, reason, name):
                arrived = True
            elif heir is not None:
                arrived = heir.publish(letter) or arrived
        return arrived

    def retry(self) -> None:
        """Take up again what had nowhere to go."""
        for queue in self._vhost.queues.values():
            waiting, queue.undeliverable = queue.undeliverable, []
            for entry, reason in waiting:
                self.bury(queue, entry, reason)

    def _retry_later(self) -> None:
        if self._retrying:
            return
        self._retrying = True

        def again() -> None:
            self._retrying = False
            self.retry()

        self._timers.at(self._clock.monotonic() + RETRY_S, again)
