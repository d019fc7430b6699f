"""The outbox, the audit and the configuration: what waits, who did what, and how it is set."""

from functools import partial

import msgspec
from quart import Response

from actors.gateway.console.backstage import KEEPERS, Desks, asked, asked_all, rates
from actors.gateway.console.chart import outbox_chart
from actors.gateway.console.console import Console
from actors.gateway.console.session import Session
from actors.gateway.pages.forms import Form
from actors.operators import AuditReply
from actors.samples import PUBLISHED
from actors.services import ServiceName
from runtime.audit import AuditEntry
from runtime.errors import Rejection, Unavailable
from runtime.outbox import RelayStatistics

AUDIT_MAX = 200
OUTBOX_PATH = "/ops/outbox"


class Deed(msgspec.Struct, frozen=True):
    """One row of a service's audit."""

    service: str
    entry: AuditEntry


class RecordPages:
    """Shows all three; the outbox can be flushed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._desks = console.backstage.desks

    async def outbox(self, session: Session) -> Response:
        """Show what waits for the broker, and why."""
        return await self._outbox(session)

    async def flush(self, session: Session, form: Form) -> Response:
        """Have the relay look now instead of at its next poll."""
        body: dict[str, object] = {"reason": form.text("reason")}
        try:
            await self._desks.act("order-events", "/outbox/flush", RelayStatistics, body)
        except (Rejection, Unavailable) as error:
            status_code = 422 if isinstance(error, Rejection) else 503
            return await self._outbox(session, str(error), status_code)
        return self._console.site.see_other(f"{OUTBOX_PATH}?done=flush")

    async def _outbox(
        self, session: Session, trouble: str = "", status_code: int = 200
    ) -> Response:
        figures = await asked(self._desks.ask("order-events", "/outbox", RelayStatistics))
        status = (await asked(self._desks.status("order-events"))).answer
        return self._console.page(
            session,
            "outbox.html",
            status_code,
            figures=figures,
            warn_s=self._console.backstage.outbox_warn_s,
            chart=outbox_chart(status),
            rate=rates(status).get(PUBLISHED),
            trouble=trouble,
            done=self._console.argument("done") == "flush",
        )

    async def audit(self, session: Session) -> Response:
        """Show what operators did, newest first, as each service has noted it."""
        found = await asked_all(
            {name: partial(deeds_of, self._desks, name, AUDIT_MAX) for name in KEEPERS}
        )
        deeds = [deed for answer in found.values() for deed in answer.answer or []]
        deeds.sort(key=lambda deed: (deed.entry.at_ms, deed.entry.sequence), reverse=True)
        troubles = [answer.trouble for answer in found.values() if answer.trouble]
        return self._console.page(
            session,
            "audit.html",
            deeds=deeds[:AUDIT_MAX],
            total=len(deeds),
            most=AUDIT_MAX,
            troubles=troubles,
        )

    async def config(self, session: Session) -> Response:
        """Show the settings of the gateway's process, secrets hidden."""
        return self._console.page(
            session, "config.html", rows=[*self._console.backstage.settings()]
        )


async def deeds_of(desks: Desks, service: ServiceName, limit: int) -> list[Deed]:
    """Return the latest rows of a service's audit."""
    params: dict[str, str | int] = {"limit": limit}
    reply = await desks.ask(service, "/audit", AuditReply, params=params)
    return [Deed(service, entry) for entry in reply.data]
