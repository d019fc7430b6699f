"""What belongs to a process rather than to an actor: opened before the tree, closed after it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from actors.desks import Address, HttpDesks
from actors.messaging import World
from actors.neighbours import Neighbour
from actors.parties import Parties
from actors.services import ServiceName
from runtime.amqp.management import Management
from runtime.database import Database


@dataclass(frozen=True, slots=True)
class Resources:
    """The files, outside parties and HTTP clients of one process.

    ``services`` are those that it runs, in the order of `actors.services.SERVICES`; ``databases``
    are theirs, by file name; ``neighbours`` are those that it reaches over HTTP, by name. ``desks``
    makes the console's way to every service; None where there is no gateway. ``management`` is the
    broker's own account of its queues; None where nobody has named it.
    """

    world: World
    services: tuple[ServiceName, ...]
    parties: Parties
    databases: Mapping[str, Database]
    neighbours: Mapping[str, Neighbour]
    desks: Callable[[Address], HttpDesks] | None = None
    management: Management | None = None
