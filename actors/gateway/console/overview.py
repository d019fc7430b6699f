"""The first page: what is wrong now, how much is going on, what happened last."""

import anyio
from quart import Response

from actors.domain.operating import EventsPage, Figures
from actors.gateway.console.backstage import (
    Asked,
    Backstage,
    ProcessStatus,
    asked,
    rates,
    statuses_of,
)
from actors.gateway.console.chart import outbox_chart
from actors.gateway.console.console import Console
from actors.gateway.console.letters import Heap, heaps
from actors.gateway.console.session import Session
from actors.gateway.console.troubles import Snapshot, troubles
from runtime.outbox import RelayStatistics

LAST_EVENTS = 20
POSITION_MAX = 2**53


class OverviewPages:
    """Shows the whole system at a glance."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, session: Session) -> Response:
        """Show what is wrong first."""
        seen, latest = await look(self._console.backstage)
        events = latest.answer
        return self._console.page(
            session,
            "overview.html",
            seen=seen,
            troubles=troubles(seen),
            parked=_parked(seen.heaps),
            links=[link for process in seen.processes for link in process.broker],
            latest=latest,
            newest_first=[] if events is None else events.data[::-1],
            position=0 if events is None else events.last,
            chart=outbox_chart(seen.statuses["order-events"].answer),
            rates=rates(seen.statuses["order-events"].answer),
        )


async def look(backstage: Backstage) -> tuple[Snapshot, Asked[EventsPage]]:
    """Ask everybody, at once; return what they say, and the newest events."""
    desks = backstage.desks
    statuses: dict[str, Asked[ProcessStatus]] = {}
    piles: dict[str, Asked[Heap]] = {}
    figures: list[Asked[Figures]] = []
    outbox: list[Asked[RelayStatistics]] = []
    latest: list[Asked[EventsPage]] = []

    async def ask_statuses() -> None:
        statuses.update(await statuses_of(desks))

    async def ask_letters() -> None:
        piles.update(await heaps(desks))

    async def ask_store() -> None:
        last: dict[str, str | int] = {"before": POSITION_MAX, "limit": LAST_EVENTS}
        figures.append(await asked(desks.ask("order-events", "/figures", Figures)))
        outbox.append(await asked(desks.ask("order-events", "/outbox", RelayStatistics)))
        page = desks.ask("order-events", "/events", EventsPage, params=last)
        latest.append(await asked(page))

    async with anyio.create_task_group() as tasks:
        for look in (ask_statuses, ask_letters, ask_store):
            tasks.start_soon(look)
    seen = Snapshot(
        own=backstage.own_status(),
        statuses=statuses,
        heaps=piles,
        figures=figures[0],
        outbox=outbox[0],
        outbox_warn_s=backstage.outbox_warn_s,
    )
    return seen, latest[0]


def _parked(piles: dict[str, Asked[Heap]]) -> int | None:
    """Return how many messages are parked; None where a queue does not tell."""
    counts = [None if row.answer is None else row.answer.count for row in piles.values()]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
