"""eventsourcing 9.5 on SQLite: an aggregate a order, its own notification log as the outbox.

As its documentation advises for one process: the aggregate cache, without fast-forward (nobody else
writes) and without deep copies. SQLite is in WAL mode by its own choice, and synchronous=FULL by
SQLite's default. One thread: several only wait for one another's commits.
Run alone: ``python -m bench.rivals.eventsourcing``.
"""

import time
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench.case import Round
from bench.meter import Meter
from bench.rivals.alone import alone
from bench.sample import Sample


class Refused(Exception):
    """The order's rules say no."""


class Order(Aggregate):
    """The order, with the rules that matter for what is measured."""

    class Placed(Aggregate.Created):
        """It was placed."""

        customer: str
        total: int

    @event(Placed)
    def __init__(self, customer: str, total: int) -> None:
        self.customer = customer
        self.total = total
        self.payment = "none"

    def begin_payment(self) -> None:
        """Lock the payment."""
        if self.payment != "none":
            raise Refused(self.payment)
        self._payment_begun(attempt=1)

    @event("PaymentBegun")
    def _payment_begun(self, attempt: int) -> None:
        self.payment = "authorizing"
        self.attempt = attempt

    def capture(self, charge_id: str, amount: int) -> None:
        """Record that the money was taken."""
        if self.payment != "authorizing":
            raise Refused(self.payment)
        self._payment_captured(charge_id=charge_id, amount=amount)

    @event("PaymentCaptured")
    def _payment_captured(self, charge_id: str, amount: int) -> None:
        self.payment = "captured"
        self.charge_id = charge_id


class Orders(Application[UUID]):
    """The event-sourced application."""


def append(task: Round) -> Sample:
    """Look an order up, have it record the capture, save it."""
    meter = Meter()
    latencies = []
    application = Orders(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(task.folder / "rival.db"),
            "AGGREGATE_CACHE_MAXSIZE": str(task.operations),
            "AGGREGATE_CACHE_FASTFORWARD": "n",
            "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
        }
    )
    orders = []
    for _ in range(task.operations):
        order = Order("cus_1", 4890)
        order.begin_payment()
        application.save(order)
        orders.append(order.id)
    with meter.running():
        for number, order_id in enumerate(orders):
            began = time.perf_counter()
            order = application.repository.get(order_id)
            order.capture(charge_id=f"ch_{number}", amount=4890)
            application.save(order)
            latencies.append(time.perf_counter() - began)
    application.close()
    return meter.sample(task.operations, latencies)


if __name__ == "__main__":
    alone(("append", "eventsourcing"))
