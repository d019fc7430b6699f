"""Orders that are looked for: one box for whatever text an operator has in hand."""

from urllib.parse import urlencode

from quart import Response, request

from actors.domain.operating import OrdersFound
from actors.domain.order import STATUSES
from actors.gateway import parameters
from actors.gateway.console.backstage import asked
from actors.gateway.console.console import Console
from actors.gateway.console.session import Session

PAGE = 100
LIST_PATH = "/ops/orders"
IDLE_S = (60, 300, 3600, 86400)
PLACED_S = {3600: "last hour", 86400: "last day", 604800: "last week"}
_TEXT_MAX = 300


class OrdersPages:
    """The list of orders, searched and filtered."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def index(self, session: Session) -> Response:
        """List orders, newest first; a text that names one order leads to it at once."""
        text = request.args.get("q", "").strip()[:_TEXT_MAX]
        chosen = {"q": text, **_filters()}
        kept = {name: value for name, value in chosen.items() if value}
        params: dict[str, str | int] = {"limit": PAGE, **kept}
        if within_s := params.pop("placed", None):
            params["since"] = self._console.site.now_ms() - int(within_s) * 1000
        before = request.args.get("before")
        if before is not None:
            params["before"] = parameters.whole("before", before, least=1)
        desks = self._console.backstage.desks
        found = await asked(desks.ask("order-events", "/orders", OrdersFound, params=params))
        rows = [] if found.answer is None else found.answer.data
        if text and "@" not in text and found.answer is not None and found.answer.total == 1:
            return self._console.site.see_other(f"{LIST_PATH}/{rows[0].id}")
        return self._console.page(
            session,
            "orders.html",
            found=found,
            rows=rows,
            chosen=chosen,
            statuses=[name for name, _ in STATUSES][::-1],
            idle_choices=IDLE_S,
            placed_choices=PLACED_S,
            first=before is None,
            first_path=f"{LIST_PATH}?{urlencode(kept)}",
            next_path=f"{LIST_PATH}?{urlencode({**kept, 'before': rows[-1].number})}"
            if len(rows) == PAGE
            else None,
        )


def _filters() -> dict[str, str]:
    """Return the filters that can be meant; what cannot is taken for none."""
    status, idle = request.args.get("status", ""), request.args.get("idle", "")
    placed = request.args.get("placed", "")
    known = status in [name for name, _ in STATUSES]
    return {
        "status": status if known else "",
        "placed": placed if placed in map(str, PLACED_S) else "",
        "idle": idle if idle.isascii() and idle.isdecimal() and len(idle) <= 8 else "",
    }
