"""The operator's routes of a service that is fed by a queue: its queues, and its parked messages.

``GET /queues`` how much is in each. ``GET /dead-letters?type=&limit=`` the oldest parked messages,
without bodies. ``GET /dead-letters/{id}`` one as it is. ``POST /dead-letters/replay`` and
``/discard`` with `Selection`; ``POST /dead-letters/work/replay`` and ``/discard`` begin the same
for the ids that are named, without waiting for the end, ``GET /dead-letters/work`` says how far it
is, ``POST /dead-letters/work/stop`` stops it. ``POST /inbox`` with `Ids` tells what became of these
messages here, ``GET /trials?id=&id=`` how often they were tried.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint, Response, request

from actors.deeds import deed
from actors.domain.values import refuse_issued_card_number, tidy_free_text
from actors.operators import Why, decoded, number, operator_routes, order_named
from actors.status import answer
from runtime.amqp.dead_letters import DeadLetter, DeadLetters, Seen, Wanted
from runtime.amqp.depths import Depths, QueueDepth
from runtime.amqp.figures import AskFigures
from runtime.errands import Done, Progress
from runtime.errors import Rejection
from runtime.inbox import State
from runtime.looks import Looks
from runtime.message import HeaderValue, Message
from runtime.redaction import printable
from runtime.service import MessageService
from runtime.trials import Trial

NAMED_MAX = 20
TRIALS_MAX = 10
SLICE = 25
"""How many messages are dealt with before others have their turn."""
Label = Annotated[str, msgspec.Meta(max_length=255)]
"""As long as an AMQP short string can be."""

Erase = Callable[[str], Awaitable[None]]


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages: of these ids, of this type, or all; ``max`` at most; and why."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    ids: Annotated[tuple[Label, ...], msgspec.Meta(max_length=500)] = ()
    type: Label | None = None
    max: Annotated[int, msgspec.Meta(ge=1, le=500)] = 500

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "reason", tidy_free_text("reason", self.reason))
        for text in self.ids:
            refuse_issued_card_number("ids", text)
        refuse_issued_card_number("type", self.type or "")


class Ids(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ids of messages."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)]


class StatesReply(msgspec.Struct, frozen=True):
    """The inbox's states of those messages that it knows.

    ``attempts`` says how many were begun, of each of them; ``duplicates`` how many copies were
    discarded, where any were.
    """

    states: dict[str, State]
    attempts: dict[str, int] = {}
    duplicates: dict[str, int] = {}


class QueuesReply(msgspec.Struct, frozen=True):
    """The service's own queue, its delay queues, its ``.dead`` queue.

    ``alarms`` are resources that the broker is short of; None where it does not tell. ``missing``
    says why some of its figures are not there, if so.
    """

    data: list[QueueDepth]
    alarms: list[str] | None = None
    missing: str = ""


class WorkReply(msgspec.Struct, frozen=True):
    """How far the latest work on parked messages is; None where there was none."""

    work: Progress | None


class TrialReply(msgspec.Struct, frozen=True):
    """How far the most tried one of some messages is; None where nothing is left to do."""

    trial: Trial | None


class LettersReply(msgspec.Struct, frozen=True):
    """Parked messages, oldest first."""

    data: list[DeadLetter]


class LetterReply(msgspec.Struct, frozen=True):
    """One parked message; ``body`` is text, or base64 where it is not UTF-8."""

    id: str
    type: str
    app_id: str
    correlation_id: str
    timestamp: int
    headers: dict[str, HeaderValue]
    body: str
    base64: bool = False


def message_service_operator(
    token: str, service: MessageService, figures: AskFigures, erase: Erase | None = None
) -> Blueprint:
    """Return the operator's routes of a message service.

    ``figures`` asks its broker for what AMQP cannot tell. ``erase`` takes an order's personal data
    from the party behind it: then there is ``POST /erasures/{order}``, too.
    """
    routes = operator_routes(token, service.errands)
    letters = service.dead_letters
    _add_looks(routes, service)
    _add_queues(routes, service, figures)

    @routes.post("/dead-letters/<any(replay,discard):action>")
    async def deal(action: str) -> Response:
        selection = await decoded(Selection)
        target = f"{letters.queue}: {_named(selection)}"
        what = deed(f"dead-letters-{action}", target, selection.reason)
        work = partial(_deal, letters, action, selection)
        return answer(await service.errands.carry_out(what, work))

    _add_work(routes, service)

    @routes.get("/trials")
    async def trials() -> Response:
        return answer(TrialReply(await service.trials.of(request.args.getlist("id")[:TRIALS_MAX])))

    @routes.post("/inbox")
    async def inbox() -> Response:
        known = await service.trials.known((await decoded(Ids)).ids)
        return answer(
            StatesReply(
                {id_: one.state for id_, one in known.items()},
                {id_: one.attempts for id_, one in known.items()},
                {id_: one.duplicates for id_, one in known.items() if one.duplicates},
            )
        )

    if erase is not None:
        _add_erasure(routes, service, erase)
    return routes


def _add_looks(routes: Blueprint, service: MessageService) -> None:
    looks: Looks[Wanted, Seen] = Looks(service.errands, service.dead_letters.look)

    @routes.get("/dead-letters")
    async def find() -> Response:
        wanted = Wanted(type=request.args.get("type"), max=number("limit", 500))
        return answer(LettersReply((await looks.ask(wanted)).letters))

    @routes.get("/dead-letters/<message_id>")
    async def show(message_id: str) -> Response:
        message = (await looks.ask(Wanted((message_id,), max=1))).first
        if message is None:
            raise Rejection("not-found", "No such message is parked here.", status_hint=404)
        return answer(_shown(message))


def _add_queues(routes: Blueprint, service: MessageService, figures: AskFigures) -> None:
    counts: Looks[None, list[QueueDepth]] = Looks(service.errands, partial(_count, service.depths))

    @routes.get("/queues")
    async def queues() -> Response:
        counted, told = await counts.ask(None), await figures()
        depths = [depth.told(told.queues.get(depth.name)) for depth in counted]
        return answer(QueuesReply(depths, told.alarms, told.trouble))


async def _count(depths: Depths, _same: Sequence[None]) -> list[list[QueueDepth]]:
    """Everybody asks the same."""
    return [await depths.count()]


def _add_work(routes: Blueprint, service: MessageService) -> None:
    letters, errands = service.dead_letters, service.errands

    @routes.get("/dead-letters/work")
    async def show_work() -> Response:
        return answer(WorkReply(errands.progress()))

    @routes.post("/dead-letters/work/<any(replay,discard):action>")
    async def begin(action: str) -> Response:
        selection = await decoded(Selection)
        what = deed(
            f"dead-letters-{action}", f"{letters.queue}: {_named(selection)}", selection.reason
        )
        ids = selection.ids
        if not ids:
            raise Rejection("validation-failed", "`ids` must name messages.", status_hint=422)
        slices = [ids[i : i + SLICE] for i in range(0, len(ids), SLICE)]
        steps = [partial(_deal_slice, letters, action, part) for part in slices]
        return answer(WorkReply(errands.begin(what, steps, len(ids))), 202)

    @routes.post("/dead-letters/work/stop")
    async def stop() -> Response:
        return answer(WorkReply(errands.stop()), 202)


async def _deal_slice(letters: DeadLetters, action: str, ids: tuple[str, ...]) -> int:
    wanted = Wanted(ids, max=len(ids))
    return len(await (letters.replay(wanted) if action == "replay" else letters.discard(wanted)))


def _add_erasure(routes: Blueprint, service: MessageService, erase: Erase) -> None:
    @routes.post("/erasures/<order_id>")
    async def forget(order_id: str) -> Response:
        what = deed("order-erase", order_named(order_id), (await decoded(Why)).reason)

        async def work() -> Done:
            await erase(order_id)
            return Done({"order_id": order_id}, "erased")

        return answer(await service.errands.carry_out(what, work))


async def _deal(letters: DeadLetters, action: str, selection: Selection) -> Done:
    wanted = Wanted(selection.ids, selection.type, selection.max)
    dealt = await (letters.replay(wanted) if action == "replay" else letters.discard(wanted))
    done = "replayed" if action == "replay" else "discarded"
    return Done(LettersReply(dealt), f"{done} {len(dealt)}: {_some([one.id for one in dealt])}")


def _named(selection: Selection) -> str:
    which = _some(list(selection.ids)) or "all"
    return f"{which}, type {printable(selection.type)}" if selection.type else which


def _some(ids: list[str]) -> str:
    """Name some ids; a foreign one may hold anything."""
    more = f" and {len(ids) - NAMED_MAX} more" if len(ids) > NAMED_MAX else ""
    return ", ".join(map(printable, ids[:NAMED_MAX])) + more


def _shown(message: Message) -> LetterReply:
    try:
        body, encoded = message.body.decode(), False
    except UnicodeDecodeError:
        body, encoded = base64.b64encode(message.body).decode(), True
    return LetterReply(
        message.message_id,
        message.type,
        message.app_id,
        message.correlation_id,
        message.timestamp,
        message.headers,
        body,
        encoded,
    )
