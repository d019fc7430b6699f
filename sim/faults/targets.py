"""Which nodes and paths a world has, for the draw: pure functions of the plan's `World`."""

from actors.services import CONSUMERS, SERVICES
from sim.plan import World

PARTIES = ("provider", "carrier", "mailer")
QUEUES = tuple(CONSUMERS)
TALKING_TO_ORDER_EVENTS = ("gateway", "payment", "shipping", "notification")


def services(world: World) -> tuple[str, ...]:
    """Return the nodes that run services."""
    return ("shop",) if world.shape == "together" else tuple(SERVICES)


def keeper_of_the_log(world: World) -> str:
    """Return the node that the order log is on."""
    return "shop" if world.shape == "together" else "order-events"


def broker(world: World) -> str:
    """Return the node that the broker is on."""
    return "broker" if world.own_broker or world.shape == "apart" else "shop"


def processes(world: World) -> tuple[str, ...]:
    """Return all nodes of ours: those of services, and the broker's."""
    return tuple(dict.fromkeys((*services(world), broker(world))))


def everybody(world: World) -> tuple[str, ...]:
    """Return all nodes with a process and a disk."""
    return (*processes(world), *PARTIES)


def broker_clients(world: World) -> tuple[str, ...]:
    """Return the nodes that are connected to the broker."""
    if world.shape == "together":
        return ("shop",)
    return tuple(name for name in SERVICES if name != "gateway")


def publishers(world: World) -> tuple[str, ...]:
    """Return the nodes that publish: the relay's, and those that re-queue."""
    return broker_clients(world)


def consumer(world: World, queue: str) -> str:
    """Return the node that consumes this queue."""
    return "shop" if world.shape == "together" else queue


def broker_paths(world: World) -> tuple[str, ...]:
    """Return the ways to the broker, as ``client|broker``."""
    return tuple(f"{client}|{broker(world)}" for client in broker_clients(world))


def http_paths(world: World) -> tuple[str, ...]:
    """Return the ways on which HTTP goes, as ``client|server``."""
    if world.shape == "together":
        return ("customers|shop",)
    internal = tuple(f"{name}|order-events" for name in TALKING_TO_ORDER_EVENTS)
    return ("customers|gateway", *internal, "gateway|shipping")


def paths(world: World) -> tuple[str, ...]:
    """Return all ways between nodes."""
    return (*broker_paths(world), *http_paths(world))
