"""Parked messages as the console reads them: those of every queue, and what becomes of one."""

from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

import msgspec

from actors.dead_letters import LetterReply, LettersReply, QueuesReply, WorkReply
from actors.gateway.console.backstage import Asked, Desks, asked_all
from actors.services import CONSUMERS, ServiceName
from runtime.amqp.dead_letters import DeadLetter
from runtime.errors import Rejection

LETTERS_MAX = 500
"""As many as one request can deal with."""

SAMPLE = 5
Parked = dict[str, Asked[list[DeadLetter]]]


class Heap(msgspec.Struct, frozen=True):
    """How many messages are parked in one queue, and the oldest of them, `SAMPLE` at most."""

    count: int
    oldest: list[DeadLetter]


class Pick(msgspec.Struct, frozen=True, array_like=True):
    """One parked message, by name."""

    queue: str
    id: str


class Reviewed(msgspec.Struct, frozen=True):
    """What was chosen, of what is still there."""

    letters: list[DeadLetter]
    gone: int
    troubles: list[str]


async def parked(desks: Desks, queues: Sequence[str] = CONSUMERS, *, type_: str = "") -> Parked:
    """Return the oldest parked messages of each of these queues."""
    params: dict[str, str | int] = {"limit": LETTERS_MAX, **({"type": type_} if type_ else {})}
    chosen = [name for name in CONSUMERS if name in queues]
    return await asked_all({name: partial(_of, desks, name, params) for name in chosen})


async def heaps(desks: Desks) -> dict[str, Asked[Heap]]:
    """Return how much is parked in each queue.

    It is counted first: to look at messages they must be taken from the broker and put back.
    """
    return await asked_all({name: partial(_heap, desks, name) for name in CONSUMERS})


async def _heap(desks: Desks, queue: ServiceName) -> Heap:
    dead = (await desks.ask(queue, "/queues", QueuesReply)).data[-1]
    if not dead.ready:
        return Heap(0, [])
    oldest = await _of(desks, queue, {"limit": SAMPLE})
    return Heap(max(dead.ready, len(oldest)), oldest)


async def _of(desks: Desks, queue: ServiceName, params: dict[str, str | int]) -> list[DeadLetter]:
    return (await desks.ask(queue, "/dead-letters", LettersReply, params=params)).data


async def review(desks: Desks, picks: Sequence[Pick]) -> Reviewed:
    """Return which of the picked messages are still parked: the dry run."""
    wanted = {(pick.queue, pick.id) for pick in picks}
    found = await parked(desks)
    letters = [
        letter
        for asked in found.values()
        for letter in asked.answer or []
        if (letter.queue, letter.id) in wanted
    ]
    troubles = [asked.trouble for asked in found.values() if asked.trouble]
    return Reviewed(letters, max(0, len(wanted) - len(letters)), troubles)


async def deal(desks: Desks, action: str, picks: Sequence[Pick], reason: str) -> int:
    """Have the services replay or discard exactly these; return how many they did.

    `Rejection` or `Unavailable` part of the way: the rest is still parked, and asking again is
    safe.
    """
    dealt = 0
    for queue in CONSUMERS:
        ids = [pick.id for pick in picks if pick.queue == queue]
        if ids:
            body: dict[str, object] = {"ids": ids, "max": len(ids), "reason": reason}
            answer = await desks.act(queue, f"/dead-letters/{action}", LettersReply, body)
            dealt += len(answer.data)
    return dealt


async def begin(desks: Desks, action: str, picks: Sequence[Pick], reason: str) -> None:
    """Have the services begin to replay or discard exactly these; `progress` says how far they are.

    `Rejection` busy where one of them is still at something else.
    """
    for queue in CONSUMERS:
        ids = [pick.id for pick in picks if pick.queue == queue]
        if ids:
            body: dict[str, object] = {"ids": ids, "max": len(ids), "reason": reason}
            await desks.act(queue, f"/dead-letters/work/{action}", WorkReply, body)


async def progress(desks: Desks) -> dict[str, Asked[WorkReply]]:
    """Return how far each service is with what it began last."""
    return await asked_all({name: partial(_progress, desks, name) for name in CONSUMERS})


async def _progress(desks: Desks, queue: ServiceName) -> WorkReply:
    return await desks.ask(queue, "/dead-letters/work", WorkReply)


async def stop(desks: Desks, queue: ServiceName) -> None:
    """Have a service stop after the step that it is at."""
    await desks.act(queue, "/dead-letters/work/stop", WorkReply, {})


async def show(desks: Desks, queue: ServiceName, message_id: str) -> LetterReply:
    """Return one parked message as it is; Rejection not-found."""
    if not message_id:
        raise Rejection("not-found", "A message has an id.", status_hint=404)
    path = f"/dead-letters/{quote(message_id, safe='')}"
    return await desks.ask(queue, path, LetterReply)
