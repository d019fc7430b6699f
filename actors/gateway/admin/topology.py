"""Where events go, as a program is told: once, or again whenever it has changed.

A stream compares what it sees, so it says nothing while nothing changes but how long a connection
has been as it is, and how old a message is. The picture on the console's page follows the same
stream.
"""

from collections.abc import AsyncIterator
from functools import partial

import anyio
import msgspec
from quart import Response

from actors.gateway.admin.bodies import TopologyReply
from actors.gateway.console.backstage import Backstage, reasons
from actors.gateway.console.queues import alarms, missing
from actors.gateway.console.topology import ask_places
from actors.gateway.console.troubles import processes
from actors.gateway.streams import BYE, HEARTBEAT, RETRY, StreamReads

LOOK_S = 2.0
_encode = msgspec.json.Encoder().encode


async def topology_of(backstage: Backstage) -> TopologyReply:
    """Ask every service; what cannot be had is missing, and the reasons are with it."""
    statuses, depths = await ask_places(backstage.desks)
    found = processes(backstage.own_status(), statuses)
    return TopologyReply(
        subscriptions={queue: [*types] for queue, types in backstage.subscriptions.items()},
        queues=[depth for asked in depths.values() if asked.answer for depth in asked.answer.data],
        alarms=alarms(depths),
        missing=missing(depths),
        links=[link for process in found for link in process.broker],
        supervision=[process.supervision for process in found],
        troubles=reasons(statuses, depths),
    )


class TopologyStream:
    """Follows the topology, for programs and for the console's page."""

    def __init__(self, backstage: Backstage, streams: StreamReads) -> None:
        self._backstage = backstage
        self._streams = streams

    def follow(self) -> Response:
        """Answer with the topology as it is, and as it becomes."""
        return self._streams.opened(self._frames())

    async def _frames(self) -> AsyncIterator[bytes]:
        end, silent_s, seen = self._streams.end(), 0.0, b""
        yield RETRY
        while not self._streams.outlived(end):
            told = await self._streams.unless_stopped(partial(topology_of, self._backstage))
            if told is None:
                yield BYE
                return
            state = _encode(_without_ages(told))
            if state != seen:
                seen, silent_s = state, 0.0
                yield b"event: topology\ndata: %b\n\n" % _encode(told)
            elif silent_s >= self._streams.heartbeat_s:
                silent_s = 0.0
                yield HEARTBEAT
            silent_s += LOOK_S
            if not await self._streams.unless_stopped(_pause):
                yield BYE
                return


async def _pause() -> bool:
    await anyio.sleep(LOOK_S)
    return True


def _without_ages(told: TopologyReply) -> TopologyReply:
    links = [msgspec.structs.replace(link, for_s=0.0) for link in told.links]
    queues = [msgspec.structs.replace(queue, oldest_age_s=None) for queue in told.queues]
    return msgspec.structs.replace(told, links=links, queues=queues)
