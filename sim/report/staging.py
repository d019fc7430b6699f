"""From a run that is over to its `Scene`: what the witness, the customers and the trace tell.

Ids become numbers of orders (``o7``) here, and each sighting a sentence.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from sim.history import Answered, Sent
from sim.judges.observed import Call, Commit, Incident
from sim.report.causes import links_of
from sim.report.claims import claim_marks
from sim.report.delivering import broker_marks
from sim.report.names import Names, lasted, money, number_of
from sim.report.scene import LANES, Down, Mark, OrderLine, Phase, Scene, Tone
from sim.report.strikes import death_of, downs_of, strike_marks
from sim.report.visits import visit_marks
from sim.run import Result, Running, Violation
from sim.trace import Event

_ASKS = {
    "place": "Customer o{} places the order",
    "pay": "Customer o{} wants to pay with another card",
    "move": "Customer o{} wants another address",
    "cancel": "Customer o{} cancels",
    "ship": "The operator says that o{} has been shipped",
}
_ASKERS = {"provider": "payment", "carrier": "shipping", "mailer": "notification"}
_QUIET = frozenset(("event.appended", "actor.started", "actor.stopped", "broker.listening"))
_TROUBLE = frozenset(
    (
        "actor.crashed",
        "actor.killed",
        "broker.lost",
        "message.dead",
        "outbox.refused",
        "work.failed",
    )
)
_TOLD = _TROUBLE | {"message.duplicate", "message.retry", "actor.restarted", "broker.back"}


# A violation this near to the end of the trace was found by judging what is left.
_END = 5
_DEEDS = ("event", "call", "work", "request")


def stage(running: Running, result: Result) -> Scene:
    """Return the scene of a run; its trace must have been kept."""
    world, events = running.world, running.engine.trace.events
    witness = world.witness
    names = Names(world.shop.history, witness.commits)
    downs = downs_of(world, events)
    marks = [
        *_requests(world.shop.history, events, result.virtual_s),
        *visit_marks(witness.watching(), events, result.virtual_s),
        *_events(witness.commits, names),
        *_outbox(witness.commits, names, result.virtual_s),
        *broker_marks(witness.broker, names),
        *claim_marks(witness.commits, names, downs),
        *_calls(witness.calls, names, downs),
        *_incidents(witness.incidents, names),
        *strike_marks(result.plan, events),
    ]
    focus = _focus(result, names, marks, len(events))
    marks += focus.flags
    marks.sort(key=lambda mark: (mark.step, mark.at))
    return Scene(
        lanes=LANES,
        marks=marks,
        links=links_of(marks),
        downs=downs,
        phases=[Phase(one.facts[0], one.at, one.step) for one in events if one.kind == "phase"],
        orders=_orders(result, names, witness.commits),
        end_s=result.virtual_s,
        events=len(events),
        focus_step=focus.step,
        focus_s=focus.at,
        focus_order=focus.order,
    )


class _Focus(msgspec.Struct):
    """Where to look first: at the violation; in a run that passed, at its beginning."""

    step: int
    at: float
    order: int
    flags: list[Mark]


def _focus(result: Result, names: Names, marks: Sequence[Mark], last_step: int) -> _Focus:
    firsts = {found.name: found for found in reversed(result.violations)}
    flags = [_flag(found, names, marks, last_step) for found in reversed(firsts.values())]
    if not flags:
        return _Focus(0, 0.0, 0, [])
    return _Focus(flags[0].step, flags[0].at, flags[0].order, flags)


def _flag(found: Violation, names: Names, marks: Sequence[Mark], last_step: int) -> Mark:
    """Put up a flag where a violation was seen.

    Most are seen when the run is over, or has waited long enough. Those go to the last thing that
    the order did which they name, because what went wrong is before that.
    """
    order = names.order_in(found.text)
    step, at = found.step, found.at
    waited = found.kind == "liveness" and order
    if waited or step >= last_step - _END or not step:
        own = [one for one in marks if order and one.order == order and one.shape in _DEEDS]
        rest = [one for one in marks if one.shape == "event"]
        last = max(own or rest, key=lambda one: one.step, default=None)
        step, at = (step, at) if last is None else (last.step, last.at)
    return Mark(
        lane="order-events",
        shape="flag",
        at=at,
        step=step,
        label=found.name,
        text=f"VIOLATION {found.name}: {names.plain(found.text)}",
        tone="bad",
        order=order,
    )


def _requests(
    history: Sequence[Sent | Answered], events: Sequence[Event], end_s: float
) -> Iterator[Mark]:
    """Yield what customers ask, until they are told."""
    times = [event.at for event in events]
    answers = {
        (entry.command, entry.attempt): entry for entry in history if isinstance(entry, Answered)
    }
    for entry in history:
        if isinstance(entry, Sent):
            answer = answers.get((entry.command, entry.attempt))
            yield _request(entry, answer, bisect_right(times, entry.at), end_s)


def _request(sent: Sent, answer: Answered | None, step: int, end_s: float) -> Mark:
    number = number_of(sent.command)
    asks = _ASKS[sent.kind].format(number)
    if sent.attempt > 1:
        asks += f" (attempt {sent.attempt})"
    cut = answer is None or answer.status == 0
    tone: Tone = "plain"
    if cut:
        told, tone = "and hears nothing", "bad"
    else:
        assert answer is not None
        told = f"and is told {answer.status}{_problem(answer)}"
        tone = "good" if answer.status < 300 else "plain" if answer.status < 500 else "bad"
    until = end_s if answer is None else answer.at
    return Mark(
        lane="client",
        shape="request",
        at=sent.at,
        step=step,
        until=until,
        torn=cut,
        label=f"o{number} {sent.kind}" + ("" if cut or answer is None else f" {answer.status}"),
        text=f"{asks} {told} after {lasted(until - sent.at)}.",
        tone=tone,
        order=number,
    )


def _problem(answer: Answered) -> str:
    kind = answer.body.get("type", "") if isinstance(answer.body, dict) else ""
    return f" ({str(kind).rpartition('/')[2]})" if answer.status >= 300 and kind else ""


def _events(commits: Sequence[Commit], names: Names) -> Iterator[Mark]:
    """Yield the events of the log."""
    for commit in commits:
        if commit.table != "events" or commit.verb != "insert":
            continue
        values = commit.values
        stater, type_ = _stater(values["app_id"]), values["type"]
        doubt = "" if commit.certain else " The power goes at this very commit."
        yield Mark(
            lane="order-events",
            shape="event",
            at=commit.at,
            step=commit.step,
            label=f"v{values['version']} {type_}",
            text=f"{stater} states {type_} (v{values['version']}).{doubt}",
            tone="plain" if commit.certain else "bad",
            order=names.order(values["stream"]),
            thread=values["event_id"],
            by=stater,
        )


def _stater(app_id: str) -> str:
    name = app_id.removesuffix("-service")
    return "order-events" if name == "order-event" else name


def _outbox(commits: Sequence[Commit], names: Names, end_s: float) -> Iterator[Mark]:
    """Yield how long each message waited in the outbox."""
    waiting: dict[tuple[str, int], Commit] = {}
    for commit in commits:
        if commit.table != "outbox":
            continue
        if commit.verb == "insert":
            waiting[commit.node, commit.row_id] = commit
        elif commit.verb == "delete":
            begun = waiting.pop((commit.node, commit.where["position"]), None)
            if begun is not None:
                yield _row(begun, names, commit.at, torn=False)
    for begun in waiting.values():
        yield _row(begun, names, end_s, torn=True)


def _row(begun: Commit, names: Names, until: float, *, torn: bool) -> Mark:
    message_id = msgspec.json.decode(begun.values["properties"])["message_id"]
    told = names.message(message_id)
    ending = "and never leaves it" if torn else f"for {lasted(until - begun.at)}, then is removed"
    return Mark(
        lane="outbox",
        shape="row",
        at=begun.at,
        step=begun.step,
        until=until,
        torn=torn,
        label=told.type,
        text=f"{told.type} waits in the outbox {ending}.",
        tone="bad" if torn else "plain",
        order=told.order,
        thread=message_id,
    )


def _calls(calls: Sequence[Call], names: Names, downs: Sequence[Down]) -> Iterator[Mark]:
    """Yield what services ask of outside parties."""
    for call in calls:
        torn = call.ended_at is None
        until = call.ended_at or death_of(downs, call.node, call.at) or call.at
        amount = f" {money(call.facts['amount'])}" if "amount" in call.facts else ""
        template = call.key.rpartition(".")[2] if call.party == "mailer" else ""
        what = f"send {template}" if template else f"{call.what}{amount}"
        how = "dies before the answer comes" if torn else _answered(call)
        yield Mark(
            lane=call.party,
            shape="call",
            at=call.at,
            step=call.step,
            until=until,
            torn=torn,
            label=template or what,
            text=f"{_ASKERS[call.party]} asks the {call.party} to {what} and {how} after "
            f"{lasted(until - call.at)}.",
            tone="bad" if torn or call.outcome else "good",
            order=names.order(call.order_id) or names.order(call.key),
            thread=call.key,
            by=_ASKERS[call.party],
        )


def _answered(call: Call) -> str:
    return f"is told {call.outcome}" if call.outcome else "has its answer"


def _incidents(incidents: Sequence[Incident], names: Names) -> Iterator[Mark]:
    """Yield what processes log and nothing else tells."""
    for incident in incidents:
        if incident.name in _QUIET:
            continue
        fields = incident.fields
        told = names.message(str(fields.get("message_id", "")))
        service = str(fields.get("queue", fields.get("role", ""))).removeprefix("consume-")
        lane = service if service in LANES else "order-events"
        details = " ".join(f"{name}={value}" for name, value in fields.items())
        yield Mark(
            lane="broker" if incident.name.startswith("broker.") else lane,
            shape="log",
            at=incident.at,
            step=incident.step,
            label=incident.name,
            text=names.plain(f"{incident.node} logs {incident.name} ({details})."),
            tone="bad" if incident.name in _TROUBLE else "plain",
            order=told.order or names.order_in(details),
            story=incident.name in _TOLD,
        )


def _orders(result: Result, names: Names, commits: Sequence[Commit]) -> list[OrderLine]:
    streams: dict[int, list[str]] = {}
    ids = {number: order_id for order_id, number in names.numbers.items()}
    for commit in commits:
        if commit.table == "events" and commit.verb == "insert":
            streams.setdefault(names.order(commit.values["stream"]), []).append(
                commit.values["type"]
            )
    return [
        OrderLine(order.number, ids.get(order.number, ""), tuple(streams.get(order.number, ())))
        for order in result.plan.orders
    ]
