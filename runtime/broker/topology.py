"""Exchanges and bindings as clients make them: what may be done, with RabbitMQ's codes and texts.

What changes durably is noted for the journal in the same breath.
"""

from collections.abc import Iterable, Mapping

from runtime.broker import tables
from runtime.broker.arguments import assert_same, inequivalent
from runtime.broker.errors import (
    ACCESS_REFUSED,
    COMMAND_INVALID,
    PRECONDITION_FAILED,
    BrokerError,
    default_exchange_untouchable,
    no_exchange,
    no_queue,
    reserved_name,
)
from runtime.broker.matching import check_headers_binding
from runtime.broker.queue import Queue, assert_access
from runtime.broker.records import Bound, ExchangeDeclared, ExchangeDeleted, Recorder, Unbound
from runtime.broker.routing import TYPES, Binding, Exchange, Exchanges

_ALTERNATE = "alternate-exchange"


class Topology(Exchanges):
    """The exchanges of the virtual host ``vhost``, and what binds them to its queues."""

    def __init__(self, vhost: str, queues: Mapping[str, Queue], recorder: Recorder) -> None:
        super().__init__()
        self._vhost = vhost
        self._queues = queues
        self._recorder = recorder

    # -- exchanges --------------------------------------------------------------------------------

    def exchange(self, name: str) -> Exchange:
        """The exchange of this name, or 404."""
        exchange = self.by_name.get(name)
        if exchange is None:
            raise no_exchange(name, self._vhost)
        return exchange

    def check_exchange(self, name: str) -> None:
        """A passive declaration: 403 for the default exchange, 404 for a missing one."""
        if not name:
            raise default_exchange_untouchable()
        self.exchange(name)

    def declare_exchange(self, wanted: Exchange) -> None:
        """Create the exchange, or check that the one there is the same."""
        name = wanted.name
        if wanted.type not in TYPES:
            raise BrokerError(COMMAND_INVALID, f"unknown exchange type '{wanted.type}'")
        if not name:
            raise default_exchange_untouchable()
        current = self.by_name.get(name)
        if current is not None:
            self._assert_same(current, wanted)
            return
        if name.startswith("amq."):
            raise reserved_name("exchange", name)
        alternate = wanted.arguments.get(_ALTERNATE)
        if alternate is not None and tables.type_name(alternate) != "longstr":
            text = f"invalid type '{tables.type_name(alternate)}' for arg '{_ALTERNATE}'"
            raise BrokerError(PRECONDITION_FAILED, f"{text} in {self._owner(name)}")
        self.by_name[name] = wanted
        if wanted.durable:
            raw = tables.encoded(wanted.arguments)[4:]
            flags = (wanted.auto_delete, wanted.internal)
            self._recorder.note(ExchangeDeclared(self._vhost, name, wanted.type, *flags, raw))

    def _assert_same(self, current: Exchange, wanted: Exchange) -> None:
        owner = self._owner(current.name)
        for argument in ("type", "durable", "auto_delete", "internal"):
            old, new = getattr(current, argument), getattr(wanted, argument)
            if old != new:
                quoted = (f"'{str(value).lower()}'" for value in (new, old))
                raise inequivalent(owner, argument, *quoted)
        both = current.arguments.get(_ALTERNATE), wanted.arguments.get(_ALTERNATE)
        assert_same(owner, _ALTERNATE, *both)

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Delete the exchange if it is there; 406 if it must be unused and is not."""
        if not name:
            raise default_exchange_untouchable()
        if name.startswith("amq."):
            text = f"deletion of system {self._owner(name)} not allowed"
            raise BrokerError(ACCESS_REFUSED, text)
        exchange = self.by_name.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise BrokerError(PRECONDITION_FAILED, f"{self._owner(name)} in use")
        self._drop_exchange(exchange)

    def _drop_exchange(self, exchange: Exchange) -> None:
        del self.by_name[exchange.name]
        if exchange.durable:
            self._recorder.note(ExchangeDeleted(self._vhost, exchange.name))
        self._drop_bindings(self.with_destination("exchange", exchange.name))

    def _owner(self, exchange: str) -> str:
        return f"exchange '{exchange}' in vhost '{self._vhost}'"

    # -- bindings ---------------------------------------------------------------------------------

    def bind(self, binding: Binding, user: object) -> None:
        """Add a binding; 404 where an end is missing, 405 for another connection's queue."""
        self._check_ends(binding)
        source = self.exchange(binding.source)
        if binding.kind == "exchange":
            self.exchange(binding.destination)
        elif binding.destination not in self._queues:
            raise no_queue(binding.destination, self._vhost)
        if source.type == "headers":
            check_headers_binding(tables.entries(binding.arguments))
        self._check_access(binding, user)
        if source.bind(binding) and self._is_durable(source, binding):
            self._recorder.note(Bound(self._vhost, binding))

    def unbind(self, binding: Binding, user: object) -> None:
        """Remove a binding; one that is not there is no error, nor is a missing end."""
        self._check_ends(binding)
        source = self.by_name.get(binding.source)
        if source is not None and binding in source.bindings:
            self._check_access(binding, user)
            self._drop_bindings([(source, binding)])

    def drop_queue_bindings(self, queue: str) -> None:
        """The queue is going: nothing leads to it any more."""
        self._drop_bindings(self.with_destination("queue", queue))

    def _check_ends(self, binding: Binding) -> None:
        if not binding.source or (binding.kind == "exchange" and not binding.destination):
            raise default_exchange_untouchable()

    def _check_access(self, binding: Binding, user: object) -> None:
        if binding.kind == "queue":
            assert_access(self._queues[binding.destination], user, self._vhost)

    def _drop_bindings(self, doomed: Iterable[tuple[Exchange, Binding]]) -> None:
        for exchange, binding in doomed:
            if not exchange.unbind(binding):
                continue
            if self._is_durable(exchange, binding):
                self._recorder.note(Unbound(self._vhost, binding))
            if exchange.auto_delete and not exchange.bindings and exchange.name in self.by_name:
                self._drop_exchange(exchange)

    def _is_durable(self, source: Exchange, binding: Binding) -> bool:
        if binding.kind == "exchange":
            target = self.by_name.get(binding.destination)
            return source.durable and target is not None and target.durable
        queue = self._queues.get(binding.destination)
        return source.durable and queue is not None and queue.durable
