"""The known races, each as a small explicit plan that surely reaches it.

A random seed reaches each of them sometimes; these do so always, whatever becomes of the draw. That
a plan reached its race is told by probes (`sim.probes`), counted in the same run.

The codes are those of the project's own list of races: G guards, P payment, D delivery, O outbox,
S order of arrival.
"""

from typing import Any

import msgspec

from sim.plan import Act, Fault, Order, Plan, Shape, World

MUG = (("MUG-1", 1),)
SETTINGS: dict[str, Any] = {
    "payment.hold_s": 0.0,
    "shipping.hold_s": 0.0,
    "payment.sweep_s": 5.0,
    "retry.tiers_s": (1,),
    "broker.confirm_timeout_s": 2.0,
    "broker.heartbeat_s": 2,
    "broker.reconnect_s_max": 1.0,
}
CANCEL = "cancel"


class Directed(msgspec.Struct, frozen=True, kw_only=True):
    """One race: how it goes (``story``), the plan, and the ``probes`` that say it was reached."""

    race: str
    story: str
    plan: Plan
    probes: tuple[str, ...]


def _plan(
    faults: tuple[Fault, ...],
    orders: tuple[Order, ...],
    *,
    shape: Shape = "together",
    safety_s: float = 12.0,
    settings: dict[str, Any] | None = None,
) -> Plan:
    world = World(
        shape=shape,
        own_broker=shape == "together",
        settings={**SETTINGS, **(settings or {})},
    )
    return Plan(
        scenario="everything", seed=1, world=world, orders=orders, faults=faults, safety_s=safety_s
    )


def _fault(
    kind: str, target: str = "", *, at_s: float = 0.5, for_s: float = 20.0, **facts: Any
) -> Fault:
    number = 1 + len(kind) + int(at_s * 1000)
    return Fault(number=number, kind=kind, at_s=at_s, for_s=for_s, target=target, facts=facts)


def _order(number: int, *acts: Act, at_s: float = 1.0, card: str = "pm_card_visa") -> Order:
    return Order(number=number, at_s=at_s, items=MUG, card=card, acts=acts)


def _cancel(after_s: float = 0.0, on: str = "") -> Act:
    return Act(do="cancel", after_s=after_s, on=on)


_G2 = Directed(
    race="G2",
    story="A cancel against the beginning of preparation: for one order it comes first, and the "
    "parcel is dropped; for the other it comes second, and is refused.",
    plan=_plan(
        (_fault("overtaken", "shop", only="shipping", skip=1, left=1, late_s=6.0),),
        (_order(1, _cancel(on="preparing")), _order(2, _cancel(1.0, on="paid"), at_s=2.0)),
    ),
    probes=("cancel-won-over-preparation", "preparation-won-over-cancel"),
)

_G9 = Directed(
    race="G9",
    story="A service's event is committed, and order-events dies before it can say so: the service "
    "appends it again, and is told the original.",
    plan=_plan(
        (
            _fault(
                "kill-at",
                "order-events",
                at_s=0.9,
                at="statement",
                moment="after",
                only="COMMIT",
                after=2,
            ),
        ),
        (_order(1),),
        shape="apart",
    ),
    probes=("append-answered-though-committed-before",),
)

_P3 = Directed(
    race="P3",
    story="The provider has captured, the cancel is committed, and only then the capture is "
    "recorded: whoever saw the cancel saw nothing to refund. The refund is owed all the same.",
    plan=_plan(
        (_fault("answer-late", "provider", only="capture", left=1, late_s=3.0),),
        (_order(1, _cancel(1.5)),),
    ),
    probes=("captured-then-cancelled-then-recorded",),
)

_P4 = Directed(
    race="P4",
    story="Payment dies when the provider has captured; the order is cancelled meanwhile. The "
    "message comes again, and the open attempt is resumed instead of dropped.",
    plan=_plan(
        (
            _fault(
                "kill-at",
                "payment",
                at="call",
                party="provider",
                only="capture",
                moment="after",
                restart_s=4.0,
            ),
        ),
        (_order(1, _cancel(2.0)),),
        shape="apart",
    ),
    probes=("open-attempt-resumed", "captured-then-cancelled-then-recorded"),
)

_P7 = Directed(
    race="P7",
    story="A capture is carried out and its answer lost: it is unknown, not failed. It is looked "
    "up by its key, and no second one is made.",
    plan=_plan((_fault("answer-lost", "provider", only="capture", left=1),), (_order(1),)),
    probes=("unknown-capture-resolved",),
)

_P9 = Directed(
    race="P9",
    story="A refund is carried out and its answer lost, and the cancellation is delivered again: "
    "one refund, under one key.",
    plan=_plan(
        (
            _fault("answer-lost", "provider", only="refund", left=1),
            _fault("duplicated", "shop", only="orders.order-cancelled", after_s=3.0),
        ),
        (_order(1, _cancel(0.5, on="paid")),),
        settings={"shipping.hold_s": 5.0},
    ),
    probes=("unknown-refund-resolved", "recorded-then-cancelled-then-refunded"),
)

_P13 = Directed(
    race="P13",
    story="A refund fails again and again, beyond the number of attempts after which anything else "
    "is parked, and over a restart: it is tried until it succeeds.",
    plan=_plan(
        (
            _fault("call-refused", "provider", only="refund", for_s=9.0),
            _fault("kill", "shop", at_s=5.0, for_s=0.5),
        ),
        (_order(1, _cancel(0.2, on="paid")),),
        settings={"shipping.hold_s": 5.0, "retry.attempts_max": 2},
    ),
    probes=("refund-tried-again", "recorded-then-cancelled-then-refunded"),
)

_D1 = Directed(
    race="D1",
    story="A service dies when the effect of a message has happened and its record has not: the "
    "claim of the dead is resumed, and the effect is not repeated.",
    plan=_plan(
        (_fault("kill-at", "shop", at="call", party="carrier", only="prepare", moment="after"),),
        (_order(1),),
    ),
    probes=("claim-of-a-dead-process-resumed",),
)

_D4 = Directed(
    race="D4+D5",
    story="A message is put back, and the ack of the original is lost: the copy and the original "
    "both live, with one id. The inbox decides, and attempts do not add up.",
    plan=_plan(
        (
            _fault("call-refused", "provider", only="authorise", left=1),
            _fault("ack-lost", "shop", only="payment", left=1, after_s=0.05),
        ),
        (_order(1),),
    ),
    probes=("requeued-copy-and-original-both-alive",),
)

_D11 = Directed(
    race="D11",
    story="What was done is forgotten (its time is over, the process starts again), and then "
    "every message comes once more: the guards hold with an empty inbox.",
    plan=_plan(
        (
            _fault("duplicated", "shop", after_s=8.0, for_s=7.0),
            _fault("kill", "shop", at_s=7.0, for_s=0.3),
        ),
        (_order(1), _order(2, _cancel(0.3, on="paid"))),
        safety_s=14.0,
        settings={"dedup.retention_s": 1.0},
    ),
    probes=("done-again-after-it-was-forgotten",),
)

_D18 = Directed(
    race="D18",
    story="The channel ends while a message is worked on: its ack would be for somebody else's, "
    "and is not sent. The message comes again and is a duplicate.",
    plan=_plan(
        (
            _fault("answer-late", "provider", only="capture", left=1, late_s=2.0),
            _fault("ack-timeout", queue="payment", patience_s=0.8, for_s=3.0),
        ),
        (_order(1),),
    ),
    probes=("channel-gone-before-the-ack", "duplicate-dropped-by-the-inbox"),
)

_O3 = Directed(
    race="O3",
    story="The broker has a message, and its confirm is lost: the same message is sent again.",
    plan=_plan(
        (_fault("confirm-lost", "shop", left=1),),
        (_order(1),),
    ),
    probes=("confirm-lost-and-republished", "duplicate-dropped-by-the-inbox"),
)

_O4 = Directed(
    race="O4",
    story="A message is confirmed, and the relay dies before its row is removed: it is sent again.",
    plan=_plan(
        (
            _fault(
                "kill-at",
                "shop",
                at_s=0.9,
                at="statement",
                moment="before",
                only="DELETE FROM outbox",
            ),
        ),
        (_order(1),),
    ),
    probes=("outbox-resumed-after-a-crash",),
)

_O6 = Directed(
    race="O6",
    story="A message is returned because no queue takes it, and acknowledged then: that is not "
    "sent. Its row stays.",
    plan=_plan((_fault("publish-returned", "shop", left=2),), (_order(1),)),
    probes=("returned-and-sent-again",),
)

_O8 = Directed(
    race="O8",
    story="One confirm settles several messages, and the channel ends before the one behind them "
    "is settled: that is sent again, and only that.",
    plan=_plan(
        (
            _fault("confirms-late", "shop", late_s=0.3, manner="multiple", for_s=1.2),
            _fault("publish-lost", "shop", skip=6, left=1, for_s=1.2),
        ),
        tuple(_order(number) for number in range(1, 9)),
    ),
    probes=("rest-of-a-batch-sent-again",),
)

_S1 = Directed(
    race="S1",
    story="The cancellation of an order arrives before its creation: what is decided follows from "
    "the store, not from what came first.",
    plan=_plan(
        (_fault("overtaken", "shop", only="payment", left=1, late_s=9.0),),
        (_order(1, _cancel(0.3)),),
    ),
    probes=("order-not-in-the-store-yet",),
)

_MAIL = Directed(
    race="mail",
    story="The mailer has a mail, and the notification service dies before it notes that: it asks "
    "again with the same key, and the customer has one mail.",
    plan=_plan(
        (_fault("kill-at", "shop", at="call", party="mailer", only="send", moment="after"),),
        (_order(1),),
    ),
    probes=("mail-asked-for-again",),
)

DIRECTED: dict[str, Directed] = {
    one.race: one
    for one in (
        _G2, _G9, _P3, _P4, _P7, _P9, _P13, _D1, _D4, _D11, _D18, _O3, _O4, _O6, _O8, _S1, _MAIL,
    )
}  # fmt: skip
