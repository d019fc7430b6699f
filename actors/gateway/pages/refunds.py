"""How far a refund is that is owed: asked of the payment service, or not told."""

import anyio

from actors.dead_letters import TrialReply
from actors.domain.order import Order
from actors.gateway.console.backstage import Desks
from runtime.errors import Rejection, Unavailable
from runtime.trials import Trial

PATIENCE_S = 1.0
_CAUSES = ("order-cancelled", "order-created")
"""Whose messages make the payment service look at what is owed."""


async def refund_trial(desks: Desks, order: Order) -> Trial | None:
    """Return how often the refund was tried that is owed; None where none is, or nobody tells."""
    if not order.refund_due:
        return None
    ids = [order.happened[cause].event_id for cause in _CAUSES if order.has(cause)]
    with anyio.move_on_after(PATIENCE_S):
        try:
            query = "&".join(f"id={event_id}" for event_id in ids)
            return (await desks.ask("payment", f"/trials?{query}", TrialReply)).trial
        except (Rejection, Unavailable):
            return None
    return None
