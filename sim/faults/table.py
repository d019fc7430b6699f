"""Every kind of fault, by name."""

from sim.faults import (
    broker,
    clocks,
    delivery,
    http,
    network,
    parties,
    points,
    process,
    publishing,
    storage,
)
from sim.faults.kind import Kind

SUBJECTS: dict[str, tuple[Kind, ...]] = {
    "network": network.KINDS,
    "broker": broker.KINDS,
    "publishing": publishing.KINDS,
    "delivery": delivery.KINDS,
    "process": process.KINDS,
    "points": points.KINDS,
    "storage": storage.KINDS,
    "http": http.KINDS,
    "parties": parties.KINDS,
    "clocks": clocks.KINDS,
}

KINDS: dict[str, Kind] = {kind.name: kind for kinds in SUBJECTS.values() for kind in kinds}
