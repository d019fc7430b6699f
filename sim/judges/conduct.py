"""How processes and actors behave: they stop in order, restart within bounds, and own up."""

import re
from collections import defaultdict
from collections.abc import Iterator

from sim.judges.evidence import Evidence
from sim.judges.observed import Child, Incident, Life

NEVER = float("inf")
STOP_GRACE_S = 0.05
DRAIN_S_MAX = 20.0
# An error of these is never the world's doing: somebody wrote a bug, or a check has failed.
BUGS = (
    "AssertionError", "AttributeError", "ImportError", "IndexError", "KeyError", "LookupError",
    "NameError", "RecursionError", "RuntimeError", "StopIteration",
    "SyntaxError", "TypeError", "UnboundLocalError", "UnicodeDecodeError", "ValidationError",
    "ValueError", "ZeroDivisionError", "ConfigurationError", "EnvironmentUnready",
)  # fmt: skip
CANCELLING = ("stray-cancel", "task-cancelled")
_TELLS_OF_ERRORS = (
    "actor.crashed", "actor.stop_failed", "http.failed", "library.log", "message.dead",
    "message.retry", "message.stuck", "order_events.failed", "supervisor.escalated", "work.failed",
    "outbox.refused", "payment.sweep-postponed", "neighbour.lost",
)  # fmt: skip
# What a process may end with, and the kinds of faults that explain it.
_ENDED_BY: dict[str, tuple[str, ...]] = {
    "StoreBroken": ("disk-", "actor-exception", "stray-cancel", "task-cancelled"),
    "StrayCancellation": ("stray-cancel", "task-cancelled"),
    "Injected": ("actor-exception",),
    "CancelledError": ("task-cancelled",),
    "RestartIntensityExceeded": ("",),
}
_WORD = re.compile(r"[A-Za-z_]+")


def stopping_raises_no_attempt(evidence: Evidence) -> Iterator[str | None]:
    """A process that is told to stop counts no attempt, and dead-letters nothing, for that."""
    for life in evidence.observed.lives:
        if life.told_at is None:
            continue
        wrong = list(_raised_while_stopping(evidence, life))
        yield from wrong
        if not wrong:
            yield None


def _raised_while_stopping(evidence: Evidence, life: Life) -> Iterator[str]:
    """What failed before its service was told may still be put back, and its copy is out at once.

    Services are told one after the other: until it is its turn each goes on as ever, failures too.
    """
    assert life.told_at is not None
    if any(_lost_its_broker(one, life) for one in evidence.observed.incidents):
        return  # a copy may have had to wait for the connection
    told = _lanes_told_at(evidence, life)
    for copy in evidence.observed.written:
        mine = (copy.node, copy.incarnation) == (life.node, life.number)
        queue, _, end = copy.routing_key.partition(".")
        back = end == "dead" or end.startswith("retry.")
        if mine and back and copy.at > told.get(queue, NEVER) + STOP_GRACE_S:
            late_s = copy.at - told[queue]
            yield f"{copy.message_id} put into {copy.routing_key} {late_s:.3f} s after the stop"


def _lanes_told_at(evidence: Evidence, life: Life) -> dict[str, float]:
    """Return when each service's lanes were told to stop: when what feeds them had stopped."""
    assert life.told_at is not None
    told: dict[str, float] = {}
    for one in evidence.observed.incidents:
        feed, _, queue = str(one.fields.get("actor", "")).partition("-")
        same = (one.node, one.incarnation) == (life.node, life.number)
        if same and one.name == "actor.stopped" and feed == "hold" and one.at >= life.told_at:
            told.setdefault(queue, one.at)
    return told


def _lost_its_broker(one: Incident, life: Life) -> bool:
    assert life.told_at is not None
    same = (one.node, one.incarnation) == (life.node, life.number)
    # A stall is a confirm that is overdue, which costs the connection too.
    gone = one.name in ("broker.lost", "broker.stalled")
    return same and gone and one.at > life.told_at - 30.0


def restarts_stay_within_their_intensity(evidence: Evidence) -> Iterator[str | None]:
    """No supervisor restarts more often than it may; one that has to gives up, and says so.

    A name may stand in two places of a tree; then it may have been either that crashed. Who is
    started again, as a supervisor or below one, counts from nothing.
    """
    bounds: dict[tuple[str, str], list[Child]] = defaultdict(list)
    for child in evidence.observed.children:
        bounds[child.node, child.name].append(child)
    possible: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    certain: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for one in evidence.observed.incidents:
        if one.name == "supervisor.escalated":
            line = one.node, one.incarnation, str(one.fields["actor"])
            certain.pop(line, None)
            yield from _gave_up_for_good_reason(evidence, line, possible.pop(line, []))
        elif one.name == "actor.restarted":
            for name in _from(evidence, one.node, str(one.fields["actor"])):
                certain.pop((one.node, one.incarnation, name), None)
        elif one.name == "actor.crashed":
            places = bounds[one.node, str(one.fields.get("actor", ""))]
            for child in places:
                line = one.node, one.incarnation, child.supervisor
                possible[line].append(one.at)
                if len(places) == 1:
                    certain[line].append(one.at)
                    yield _within_its_intensity(evidence, one, child, certain[line])


def _from(evidence: Evidence, node: str, name: str) -> Iterator[str]:
    """Yield the name of a place in a tree, and those of all places below it."""
    yield name
    for child in evidence.observed.children:
        if (child.node, child.supervisor) == (node, name) and child.name != name:
            yield from _from(evidence, node, child.name)


def _within_its_intensity(
    evidence: Evidence, crash: Incident, child: Child, crashes: list[float]
) -> str | None:
    recent = sum(at > crash.at - child.window_s for at in crashes)
    if recent <= child.restarts_max or _escalates(evidence, crash, child):
        return None
    return f"{crash.node}: {child.supervisor} restarted {recent} times in {child.window_s:g} s"


def _escalates(evidence: Evidence, crash: Incident, child: Child) -> bool:
    return any(
        one.name == "supervisor.escalated"
        and one.fields.get("actor") == child.supervisor
        and (one.node, one.incarnation) == (crash.node, crash.incarnation)
        and one.step >= crash.step
        for one in evidence.observed.incidents
    )


def _gave_up_for_good_reason(
    evidence: Evidence, line: tuple[str, int, str], crashes: list[float]
) -> Iterator[str | None]:
    node, _, supervisor = line
    limits = [
        child.restarts_max
        for child in evidence.observed.children
        if (child.node, child.supervisor) == (node, supervisor)
    ]
    right = not limits or len(crashes) > limits[0]
    yield None if right else f"{node}: {supervisor} gave up after {len(crashes)} crashes"


def no_child_ends_silently(evidence: Evidence) -> Iterator[str | None]:
    """At rest every child of every living process runs; whatever ended before was reported."""
    for child in evidence.observed.children:
        right = child.state == "running"
        yield None if right else f"{child.node}: {child.supervisor}/{child.name} is {child.state}"


def processes_end_as_they_are_told(evidence: Evidence) -> Iterator[str | None]:
    """A process ends because it is killed, or told to stop, or because its disk has failed."""
    for life in evidence.observed.lives:
        if life.ended_at is None:
            yield f"{life.node}: told to stop, it never ended" if life.told_at else None
        elif life.reason.startswith("exited"):
            error = life.reason.partition(": ")[2]
            told = life.told_at is not None and not error
            yield None if told or _may_end(evidence, error) else f"{life.node}: {life.reason}"


def _may_end(evidence: Evidence, error: str) -> bool:
    """Whether a fault explains that a process could not go on."""
    causes = _ENDED_BY.get(error, ())
    return any(one.kind.startswith(causes) for one in evidence.observed.struck)


def nothing_is_left_behind(evidence: Evidence) -> Iterator[str | None]:
    """A process that stops in order leaves no task behind."""
    for life in evidence.observed.lives:
        if life.reason == "exited":
            yield f"{life.node}: {life.leaked}" if life.leaked else None


def nothing_is_held_for_who_has_left(evidence: Evidence) -> Iterator[str | None]:
    """At rest no request is in work, no stream open, no connection in use, no mailbox filled."""
    for one in evidence.observed.held:
        what = " ".join((one.metric, *one.labels))
        yield f"{one.node}: {what} is {one.value:g}" if one.value else None


def a_superseded_process_writes_nothing(evidence: Evidence) -> Iterator[str | None]:
    """What was replaced writes nothing any more: neither a process that died, nor lanes."""
    lives: dict[str, int] = {}
    workers: dict[str, list[str]] = {}
    for commit in evidence.observed.commits:
        latest = lives[commit.node] = max(lives.get(commit.node, 0), commit.incarnation)
        what = f"{commit.node}: {commit.table} written at {commit.at:.3f} s"
        yield None if commit.incarnation == latest else f"{what} by run {commit.incarnation}"
    for service, box in evidence.inboxes.items():
        known = workers.setdefault(service, [])
        for entry in box.entries:
            if entry.worker and entry.worker not in known:
                known.append(entry.worker)
            right = not entry.worker or entry.worker == known[-1]
            what = f"{service}: {entry.message_id} written at {entry.at:.3f} s"
            yield None if right else f"{what} by {entry.worker}, after {known[-1]}"


def errors_have_a_cause_outside(evidence: Evidence) -> Iterator[str | None]:
    """No error that the product reports is a bug of its own, and without faults there is none."""
    for one in evidence.observed.incidents:
        if one.name in _TELLS_OF_ERRORS:
            said = str(one.fields.get("error", one.fields.get("text", "")))
            words = _WORD.findall(said)
            bug = any(word in BUGS for word in words)
            explained = evidence.observed.faulty or one.name != "actor.crashed"
            if "ChildReturned" in words:
                explained = _cancelled_before(evidence, one.at)
            where = one.fields.get("where", "")
            what = f"{one.node}: {one.name} at {one.at:.3f} s: {said} {where}"
            yield what if bug or not explained else None


def nothing_goes_wrong_unhandled(evidence: Evidence) -> Iterator[str | None]:
    """No task fails with nobody waiting for it, no coroutine is forgotten, no callback raises.

    But Quart's own, where a store is broken: its task of a request says so as the process ends by
    just that, or is killed as it is about to, and nobody is left to ask (asgi.py is cancelled while
    it waits for that task).
    """
    for mishap in evidence.observed.mishaps:
        yield None if _ends_the_process(evidence, mishap) else mishap
    yield None


def _ends_the_process(evidence: Evidence, mishap: str) -> bool:
    at, _, text = mishap.partition(" ")
    broken = _may_end(evidence, "StoreBroken")
    return "exception was never retrieved: StoreBroken" in text and any(
        (life.reason == "exited: StoreBroken" or (broken and not life.reason.startswith("exited")))
        and 0 <= (life.ended_at or 0) - float(at) < DRAIN_S_MAX
        for life in evidence.observed.lives
    )


def _cancelled_before(evidence: Evidence, at: float) -> bool:
    """Whether a fault had cancelled something, a moment before or longer ago."""
    return any(one.kind in CANCELLING and one.at <= at for one in evidence.observed.struck)
