"""The operator's API: each handler admits, asks the services, and answers with what they say.

The functions are the console's, so a program and a person are told and can do the same.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import zip_longest
from urllib.parse import quote

import msgspec
from quart import Response, request

from actors.domain.event_json import EventJson, rfc3339
from actors.domain.events import APPS, EVENT_TYPES
from actors.domain.operating import EventsPage, OrdersFound
from actors.gateway import parameters
from actors.gateway.admin.bodies import (
    ActorShown,
    ActorsReply,
    BeginRequest,
    DealRequest,
    DealtReply,
    DeedReply,
    DeedsReply,
    FoundReply,
    MailboxReply,
    OverviewReply,
    ParkedReply,
    RestartRequest,
    SettingsReply,
    StopRequest,
    Work,
    WorksReply,
)
from actors.gateway.admin.topology import TopologyStream, topology_of
from actors.gateway.auth import bearer, require_staff, unauthorized
from actors.gateway.console import letters, staff
from actors.gateway.console.backstage import KEEPERS, Backstage, asked_all, reasons
from actors.gateway.console.events import POSITION_MAX, EventPages
from actors.gateway.console.letters import Pick
from actors.gateway.console.overview import look
from actors.gateway.console.records import Deed, deeds_of
from actors.gateway.console.staff import Found
from actors.gateway.console.troubles import troubles
from actors.gateway.context import Gateway, header, json_reply
from actors.gateway.decoding import read
from actors.gateway.problems import not_found
from actors.gateway.reads import PAGE_MAX
from actors.gateway.replies import summary_reply
from actors.operators import Why
from actors.services import CONSUMERS, ServiceName
from actors.tree_desk import ActorReply
from runtime.outbox import RelayStatistics

Handler = Callable[..., Awaitable[Response]]
MAILS_MAX = 50
_BEGIN = msgspec.json.Decoder(BeginRequest)
_STOP = msgspec.json.Decoder(StopRequest)
_WHY = msgspec.json.Decoder(Why)
_RESTART = msgspec.json.Decoder(RestartRequest)
_DEAL = msgspec.json.Decoder(DealRequest)


class Admin:
    """Handlers for operators and viewers. ``log`` and ``topology`` follow what they are named."""

    def __init__(
        self, gateway: Gateway, backstage: Backstage, log: EventPages, topology: TopologyStream
    ) -> None:
        self._gateway = gateway
        self._backstage = backstage
        self._desks = backstage.desks
        self._log = log
        self._topology_as_it_becomes = topology

    def handlers(self) -> dict[str, Handler]:
        """Return what answers each row of `ADMIN`, by its id."""
        return {
            "admin_overview": self._for_staff(self._overview),
            "admin_topology": self._for_staff(self._topology),
            "admin_topology_stream": self._for_staff(self._topology_stream),
            "admin_actors": self._for_staff(self._actors),
            "admin_restart": self._for_staff(self._restart, edit=True),
            "admin_orders": self._for_staff(self._orders),
            "admin_events": self._for_staff(self._events),
            "admin_stream": self._for_staff(self._stream),
            "admin_event": self._for_staff(self._event),
            "admin_outbox": self._for_staff(self._outbox),
            "admin_flush": self._for_staff(self._flush, edit=True),
            "admin_letters": self._for_staff(self._letters),
            "admin_letter": self._for_staff(self._letter),
            "admin_replay": self._for_staff(partial(self._deal, "replay"), edit=True),
            "admin_discard": self._for_staff(partial(self._deal, "discard"), edit=True),
            "admin_work": self._for_staff(self._works),
            "admin_begin": self._for_staff(self._begin, edit=True),
            "admin_stop": self._for_staff(self._stop, edit=True),
            "admin_audit": self._for_staff(self._audit),
            "admin_mailbox": self._for_staff(self._mailbox),
            "admin_settings": self._for_staff(self._settings),
        }

    def _for_staff(self, handler: Handler, *, edit: bool = False) -> Handler:
        async def admitted(**arguments: str) -> Response:
            token = bearer(header("authorization"))
            if token is None:
                raise unauthorized("A bearer token is needed: an operator's or a viewer's.")
            require_staff(self._gateway.authority.known(token), edit=edit)
            return await handler(**arguments)

        return admitted

    async def _overview(self) -> Response:
        seen, _ = await look(self._backstage)
        parked = {
            queue: None if asked.answer is None else asked.answer.count
            for queue, asked in seen.heaps.items()
        }
        reply = OverviewReply(
            problems=troubles(seen),
            figures=seen.figures.answer,
            outbox=seen.outbox.answer,
            parked=parked,
            restarts=seen.restarts,
            restarts_last_hour=seen.restarts_last_hour,
        )
        return json_reply(reply)

    async def _topology(self) -> Response:
        return json_reply(await topology_of(self._backstage))

    async def _topology_stream(self) -> Response:
        return self._topology_as_it_becomes.follow()

    async def _actors(self) -> Response:
        path = request.args.get("actor")
        if path is not None:
            path = parameters.actor("actor", path)
        return await self._found(path)

    async def _found(self, path: str | None, status: int = 200) -> Response:
        found, statuses = await staff.find(self._backstage, path)
        looks = [] if path is None else [await staff.look(self._backstage, one) for one in found]
        told = reasons(statuses, {str(i): look for i, look in enumerate(looks)})
        if not (found or told):
            raise not_found()
        shown = [
            _actor(one, look.answer if look else None) for one, look in zip_longest(found, looks)
        ]
        return json_reply(ActorsReply(shown, told), status)

    async def _restart(self) -> Response:
        wanted = await read(_RESTART)
        await staff.restart(self._backstage, wanted.path, wanted.service or "", wanted.reason)
        return await self._found(wanted.path, 202)

    async def _orders(self) -> Response:
        given = request.args
        params: dict[str, str | int] = {"limit": _limit()}
        if text := given.get("q", ""):
            params["q"] = parameters.words("q", text, most=300)
        if status := parameters.status("status", given.get("status")):
            params["status"] = status
        if (since := given.get("since")) is not None:
            params["since"] = parameters.time_ms("since", since)
        if "idle" in given:
            params["idle"] = parameters.whole("idle", given["idle"], most=10**8)
        if "cursor" in given:
            params["before"] = parameters.whole("cursor", given["cursor"], least=1)
        found = await self._desks.ask("order-events", "/orders", OrdersFound, params=params)
        return json_reply(FoundReply([summary_reply(row) for row in found.data], found.total))

    async def _events(self) -> Response:
        given = request.args
        params: dict[str, str | int] = {"limit": _limit()}
        if (type_ := given.get("type")) is not None:
            params["type"] = parameters.choice("type", type_, tuple(EVENT_TYPES))
        if (app := given.get("app")) is not None:
            params["app"] = parameters.choice("app", app, APPS)
        if (since := given.get("since")) is not None:
            params["since"] = parameters.time_ms("since", since)
        if (order := given.get("order")) is not None:
            params["order"] = parameters.order_id("order", order)
        if "after" in given:
            params["after"] = parameters.whole("after", given["after"])
        if "before" in given or "after" not in given:
            before = given.get("before")
            newest = POSITION_MAX if before is None else parameters.whole("before", before)
            params["before"] = newest
        page = await self._desks.ask("order-events", "/events", EventsPage, params=params)
        return json_reply(page)

    async def _stream(self) -> Response:
        return self._log.follow()

    async def _event(self, event_id: str) -> Response:
        path = f"/events/{quote(event_id, safe='')}"
        return json_reply(await self._desks.ask("order-events", path, EventJson))

    async def _outbox(self) -> Response:
        return json_reply(await self._desks.ask("order-events", "/outbox", RelayStatistics))

    async def _flush(self) -> Response:
        why = await read(_WHY, optional=True)
        body: dict[str, object] = {"reason": why.reason}
        figures = await self._desks.act("order-events", "/outbox/flush", RelayStatistics, body)
        return json_reply(figures, 202)

    async def _letters(self) -> Response:
        given = request.args
        queue, type_ = given.get("queue"), given.get("type")
        queues = CONSUMERS if queue is None else [parameters.choice("queue", queue, CONSUMERS)]
        chosen = "" if type_ is None else parameters.choice("type", type_, tuple(EVENT_TYPES))
        found = await letters.parked(self._desks, queues, type_=chosen)
        rows = [letter for asked in found.values() for letter in asked.answer or []]
        rows.sort(key=lambda letter: (letter.parked_at_s, letter.queue, letter.id))
        return json_reply(ParkedReply(rows[: _limit()], reasons(found)))

    async def _letter(self, message_queue: str, message_id: str) -> Response:
        return json_reply(await letters.show(self._desks, _consumer(message_queue), message_id))

    async def _deal(self, action: str) -> Response:
        wanted = await read(_DEAL)
        found = await letters.review(
            self._desks, [Pick(row.queue, row.id) for row in wanted.letters]
        )
        dealt = 0
        if not wanted.dry_run:
            picks = [Pick(letter.queue, letter.id) for letter in found.letters]
            dealt = await letters.deal(self._desks, action, picks, wanted.reason)
        return json_reply(
            DealtReply(dealt=dealt, found=found.letters, gone=found.gone, troubles=found.troubles)
        )

    async def _works(self, status: int = 200) -> Response:
        found = await letters.progress(self._desks)
        works = [(queue, row.answer.work) for queue, row in found.items() if row.answer]
        told = [Work(queue, work) for queue, work in works if work is not None]
        return json_reply(WorksReply(told, reasons(found)), status)

    async def _begin(self) -> Response:
        wanted = await read(_BEGIN)
        picks = [Pick(row.queue, row.id) for row in wanted.letters]
        await letters.begin(self._desks, wanted.action, picks, wanted.reason)
        return await self._works(202)

    async def _stop(self) -> Response:
        await letters.stop(self._desks, _consumer((await read(_STOP)).queue))
        return await self._works(202)

    async def _audit(self) -> Response:
        limit = _limit()
        found = await asked_all(
            {name: partial(deeds_of, self._desks, name, limit) for name in KEEPERS}
        )
        rows = [row for asked in found.values() for row in asked.answer or []]
        rows.sort(key=lambda row: (row.entry.at_ms, row.entry.sequence), reverse=True)
        return json_reply(DeedsReply([_deed(row) for row in rows[:limit]], reasons(found)))

    async def _mailbox(self) -> Response:
        # A mail's link lets its reader change the order, which a viewer may not.
        shown = self._gateway.mailbox
        mails = await self._gateway.correspondence.mailbox(MAILS_MAX) if shown else None
        if mails is None:
            raise not_found()
        return json_reply(MailboxReply(mails))

    async def _settings(self) -> Response:
        return json_reply(SettingsReply([*self._backstage.settings()]))


def _consumer(queue: str) -> ServiceName:
    for name in CONSUMERS:
        if name == queue:
            return name
    raise not_found()


def _limit() -> int:
    return parameters.whole("limit", request.args.get("limit", str(PAGE_MAX)), 1, PAGE_MAX)


def _actor(found: Found, looked: ActorReply | None) -> ActorShown:
    node = found.place.node
    return ActorShown(
        path=found.place.path,
        services=found.services,
        kind=node.kind,
        strategy=node.strategy,
        state=node.state,
        restarts=node.restarts,
        last_error=node.last_error,
        crashes=node.crashes,
        looked=looked,
    )


def _deed(row: Deed) -> DeedReply:
    entry = row.entry
    return DeedReply(
        service=row.service,
        at=rfc3339(entry.at_ms),
        actor=entry.actor,
        action=entry.action,
        target=entry.target,
        reason=entry.reason,
        outcome=entry.outcome,
    )
