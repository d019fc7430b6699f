"""What the broker is given and gives, message by message."""

from collections.abc import Iterator

from sim.judges.observed import Delivery, Publication
from sim.report.names import Names, lasted
from sim.report.scene import Mark
from sim.watch import frames
from sim.watch.broker import BrokerWatch


def broker_marks(broker: BrokerWatch, names: Names) -> Iterator[Mark]:
    """Yield a mark for each publish and each delivery."""
    sent: set[str] = set()
    for publication in broker.published:
        message_id = str(frames.properties(publication.header).get("message_id", ""))
        yield _publish(publication, message_id, names, repeated=message_id in sent)
        sent.add(message_id)
    for delivery in broker.delivered:
        yield _deliver(delivery, names)


def _publish(publication: Publication, message_id: str, names: Names, *, repeated: bool) -> Mark:
    told, where = names.message(message_id), publication.exchange or publication.routing_key
    again = " again" if repeated else ""
    return Mark(
        lane="broker",
        shape="publish",
        at=publication.at,
        step=publication.step,
        label=f"{told.type} -> {where}",
        text=f"{told.type} reaches the broker{again}, for {where}.",
        order=told.order,
        thread=message_id,
    )


def _deliver(delivery: Delivery, names: Names) -> Mark:
    told = names.message(delivery.message_id)
    again = ", not for the first time" if delivery.redelivered else ""
    if delivery.acked_at is None:
        ending = "which never acknowledges it"
    else:
        ending = f"which acknowledges it after {lasted(delivery.acked_at - delivery.at)}"
    return Mark(
        lane="broker",
        shape="again" if delivery.redelivered else "deliver",
        at=delivery.at,
        step=delivery.step,
        label=f"{told.type} -> {delivery.queue}",
        text=f"The broker gives {told.type} to {delivery.queue}{again}, {ending}.",
        tone="bad" if delivery.acked_at is None else "plain",
        order=told.order,
        thread=delivery.message_id,
        to=delivery.queue,
    )
