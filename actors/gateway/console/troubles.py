"""What is wrong now: each with its cause in words, and a link to where it can be looked into.

Pure functions of what the services have told; the worst comes first.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import msgspec

from actors.domain.operating import Figures
from actors.durations import duration
from actors.gateway.console.backstage import Asked, ProcessStatus
from actors.gateway.console.letters import Heap
from actors.samples import RESTARTS
from runtime.amqp.dead_letters import DeadLetter
from runtime.node import NodeStatus
from runtime.outbox import RelayStatistics


class Trouble(msgspec.Struct, frozen=True):
    """``what`` is wrong, why (``cause``), and ``path``: where to go from here."""

    what: str
    cause: str
    path: str
    go: str


class Snapshot(msgspec.Struct, frozen=True):
    """What the services have told, at one time. ``own`` is the gateway's process."""

    own: ProcessStatus
    statuses: dict[str, Asked[ProcessStatus]]
    heaps: dict[str, Asked[Heap]]
    figures: Asked[Figures]
    outbox: Asked[RelayStatistics]
    outbox_warn_s: float

    @property
    def processes(self) -> list[ProcessStatus]:
        """The processes that answered."""
        return processes(self.own, self.statuses)

    @property
    def restarts_last_hour(self) -> int | None:
        """How often anything was restarted within the last hour; None where nobody tells."""
        told = [row.samples.levels.get(RESTARTS) for row in self.processes if row.samples]
        known = [round(levels[-1]) for levels in told if levels]
        return sum(known) if known else None

    @property
    def restarts(self) -> int:
        """How often anything was restarted since its process began."""
        return sum(node.restarts for row in self.processes for _, node in walk(row.supervision))


def processes(
    own: ProcessStatus, statuses: Mapping[str, Asked[ProcessStatus]]
) -> list[ProcessStatus]:
    """Return each process once, ours first: services of one process tell the same of it."""
    found = {_names(own): own}
    for asked in statuses.values():
        if asked.answer is not None:
            found.setdefault(_names(asked.answer), asked.answer)
    return list(found.values())


def _names(process: ProcessStatus) -> tuple[str, ...]:
    """Return what tells a process from another one: whom it supervises."""
    return tuple(node.name for node in process.supervision.children)


def walk(root: NodeStatus, depth: int = 0) -> Iterator[tuple[int, NodeStatus]]:
    """Yield every node with its depth, parents first."""
    yield depth, root
    for child in root.children:
        yield from walk(child, depth + 1)


def troubles(seen: Snapshot) -> list[Trouble]:
    """Return everything that an operator should know of, worst first."""
    return [*_away(seen), *_broker(seen), *_children(seen), *_parked(seen), *_outbox(seen),
            *_late(seen)]  # fmt: skip


def _away(seen: Snapshot) -> Iterator[Trouble]:
    for name, asked in seen.statuses.items():
        if asked.answer is None:
            yield Trouble(f"{name} does not answer", asked.trouble, "/ops/topology", "Topology")


def _broker(seen: Snapshot) -> Iterator[Trouble]:
    for process in seen.processes:
        for link in process.broker:
            if link.state != "connected":
                since = f"{link.state} for {duration(link.for_s)}"
                cause = f"{since}: {link.reason}" if link.reason else since
                yield Trouble(
                    f"No broker for {link.role}", cause, "/ops/topology#links", "Connections"
                )


def _children(seen: Snapshot) -> Iterator[Trouble]:
    for process in seen.processes:
        for _, node in walk(process.supervision):
            if node.state in ("restarting", "stopped"):
                cause = node.last_error or "it said nothing"
                wait_s = node.restarts_in_s
                soon = f" in {duration(wait_s)}" if wait_s else ""
                what = f"{node.name} is {node.state}{soon}"
                yield Trouble(what, cause, "/ops/topology#supervision", "Supervision")


def _parked(seen: Snapshot) -> Iterator[Trouble]:
    for queue, asked in seen.heaps.items():
        heap = asked.answer
        for letter in [] if heap is None else heap.oldest:
            yield Trouble(
                f"{queue} has parked {letter.type or 'a message'}"
                f"{', again' if letter.returned else ''}",
                why(letter),
                letter_path(letter),
                "Dead letter",
            )
        rest = 0 if heap is None else heap.count - len(heap.oldest)
        if rest:
            what, path = f"{queue} has parked {rest} more", f"/ops/dead-letters?queue={queue}"
            yield Trouble(what, "the others came later", path, "Dead letters")


def _outbox(seen: Snapshot) -> Iterator[Trouble]:
    found = seen.outbox.answer
    if found is not None and found.pending and found.oldest_age_s >= seen.outbox_warn_s:
        some = "1 event waits" if found.pending == 1 else f"{found.pending} events wait"
        yield Trouble(
            f"{some} to be published",
            f"the oldest for {duration(found.oldest_age_s)}"
            + (f": {found.last_error}" if found.last_error else ""),
            "/ops/outbox",
            "Outbox",
        )


def _late(seen: Snapshot) -> Iterator[Trouble]:
    found = seen.figures.answer
    if found is not None and found.late:
        some = "1 order waits" if found.late == 1 else f"{found.late} orders wait"
        yield Trouble(
            f"{some} for a service of ours",
            f"for more than {duration(found.late_s)}",
            f"/ops/orders?idle={found.late_s}",
            "Orders",
        )


def why(letter: DeadLetter) -> str:
    """Return why a message was parked, in words."""
    tries = "1 attempt" if letter.attempts == 1 else f"{letter.attempts} attempts"
    return f"{why_in_short(letter)} after {tries}"


def why_in_short(letter: DeadLetter) -> str:
    """Return the reason, and the error where there was one."""
    reason = letter.reason.replace("-", " ") or "no reason given"
    return f"{reason}: {letter.error}" if letter.error else reason


def letter_path(letter: DeadLetter) -> str:
    """Return the path of a parked message's page."""
    return f"/ops/dead-letters/{letter.queue}/{quote(letter.id, safe='')}"
