"""What was promised, as a table: each row is a ratio (or a figure) and its bound.

``must`` rows decide whether ``make bench`` succeeds; the others are aims. Ratios are of contenders
that took turns in the same run. Where a row is of CPU time, a busy machine disturbs it little;
where it is of a rate (work that waits for a disk or another process), it wants a quiet one.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.results import Results
from bench.sample import Spread, ratio, spread

Verdict = Literal["met", "NOT MET", "not measured"]


class Ratio(msgspec.Struct, frozen=True):
    """How many times the figure of ``under`` goes into that of ``over``, in one case."""

    case: str
    over: str
    under: str
    metric: str

    def of(self, results: Results) -> Spread | None:
        """Return the ratio over the rounds; None where one of them was not measured."""
        over = results.samples(self.case, self.over)
        under = results.samples(self.case, self.under)
        return ratio(over, under, self.metric) if over and under else None


class Figure(msgspec.Struct, frozen=True):
    """A figure of one contender."""

    case: str
    contender: str
    metric: str

    def of(self, results: Results) -> Spread | None:
        """Return the figure over the rounds; None where it was not measured."""
        samples = results.samples(self.case, self.contender)
        return spread(samples, self.metric) if samples else None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``bound`` is held from below (``>=``) or from above (``<=``).

    ``limit`` is what the bare limit of the work comes to in the same run: how far one could get.
    """

    what: str
    measure: Ratio | Figure
    bound: float
    side: Literal[">=", "<="] = ">="
    unit: str = "x"
    must: bool = False
    limit: Ratio | None = None

    def judge(self, results: Results) -> "Judged":
        """Hold the median against the bound."""
        measured = self.measure.of(results)
        if measured is None:
            return Judged(self, None, "not measured")
        limit = None if self.limit is None else self.limit.of(results)
        least = self.side == ">="
        met = measured.median >= self.bound if least else measured.median <= self.bound
        return Judged(self, measured, "met" if met else "NOT MET", limit)


class Judged(msgspec.Struct, frozen=True):
    """A row with what was measured for it."""

    target: Target
    measured: Spread | None
    verdict: Verdict
    limit: Spread | None = None

    @property
    def failed(self) -> bool:
        """Whether something that must hold does not, or was not looked at."""
        return self.target.must and self.verdict != "met"

    def figure(self) -> str:
        """Return what was measured: the median, the least and the most."""
        if self.measured is None:
            return "-"
        middle, low, high = (number(value) for value in msgspec.structs.astuple(self.measured))
        found = f"{middle}{self.target.unit} ({low} .. {high})"
        if self.limit is None:
            return found
        return f"{found}, the bare limit {number(self.limit.median)}{self.target.unit}"


def number(value: float) -> str:
    """Return a number with three digits that count.

    >>> number(1234.5), number(12.345), number(0.01234)
    ('1,234', '12.3', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


TARGETS: tuple[Target, ...] = (
    Target(
        what="tell into a supervised actor: CPU of Pykka / ours",
        measure=Ratio("mailbox", "pykka", "ordermill", "cpu_us"),
        bound=6,
        limit=Ratio("mailbox", "pykka", "bare", "cpu_us"),
        must=True,
    ),
    Target(
        what="the same: CPU of a bare deque and future / ours",
        measure=Ratio("mailbox", "bare", "ordermill", "cpu_us"),
        bound=0.5,
        must=True,
    ),
    Target(
        what="ask with a deadline: p50",
        measure=Figure("ask", "ordermill", "p50"),
        bound=0.010,
        side="<=",
        unit=" ms",
    ),
    Target(
        what="the same: p50 of Pykka / ours",
        measure=Ratio("ask", "pykka", "ordermill", "p50"),
        bound=5,
        limit=Ratio("ask", "pykka", "bare", "p50"),
    ),
    Target(
        what="durable guarded append, 64 callers: rate / eventsourcing",
        measure=Ratio("append", "ordermill", "eventsourcing", "rate"),
        bound=10,
        limit=Ratio("append", "aiosqlite", "eventsourcing", "rate"),
        must=True,
    ),
    Target(
        what="the same: rate / bare aiosqlite group commit",
        measure=Ratio("append", "ordermill", "aiosqlite", "rate"),
        bound=0.7,
        must=True,
    ),
    Target(
        what="append, one caller: p50 / one bare SQLite commit",
        measure=Ratio("append", "ordermill-one", "sqlite-one", "p50"),
        bound=1.3,
        side="<=",
    ),
    Target(
        what="outbox relay to RabbitMQ: CPU of raw aiormq / ours, row included",
        measure=Ratio("publish", "aiormq", "ordermill", "cpu_us"),
        bound=3,
        must=True,
    ),
    Target(
        what="the same, what we aim at",
        measure=Ratio("publish", "aiormq", "ordermill", "cpu_us"),
        bound=6,
    ),
    Target(
        what="outbox relay to RabbitMQ: CPU of FastStream / ours",
        measure=Ratio("publish", "faststream", "ordermill", "cpu_us"),
        bound=6,
    ),
    Target(
        what="consume, claim, handle, done, ack: CPU of raw aiormq / ours, dedup included",
        measure=Ratio("consume", "aiormq", "ordermill", "cpu_us"),
        bound=1,
        must=True,
    ),
    Target(
        what="the same, what we aim at",
        measure=Ratio("consume", "aiormq", "ordermill", "cpu_us"),
        bound=2,
    ),
    Target(
        what="end to end over HTTP: rate / FastStream + eventsourcing at equal guarantees",
        measure=Ratio("e2e", "ordermill", "faststream-safe", "rate"),
        bound=5,
        must=True,
    ),
    Target(
        what="the same, what we aim at",
        measure=Ratio("e2e", "ordermill", "faststream-safe", "rate"),
        bound=9,
    ),
    Target(
        what="the same: rate / the rival in four processes",
        measure=Ratio("e2e", "ordermill", "faststream-four", "rate"),
        bound=5,
    ),
    Target(
        what="the same: rate / the rival straightforward, without outbox and dedup",
        measure=Ratio("e2e", "ordermill", "faststream", "rate"),
        bound=5,
    ),
    Target(
        what="end to end, each service in a process of its own: rate / the rival in four processes",
        measure=Ratio("e2e", "ordermill-apart", "faststream-four", "rate"),
        bound=1,
    ),
    Target(
        what="end to end, 4 orders open: p50 / the rival's",
        measure=Ratio("e2e", "ordermill-low", "faststream-safe-low", "p50"),
        bound=0.5,
        side="<=",
    ),
    Target(
        what="POST /v1/orders, durable: CPU of a bare Quart handler / ours",
        measure=Ratio("http", "quart", "ordermill", "cpu_us"),
        bound=0.8,
    ),
    Target(
        what="the gateway's own work: CPU of a bare Quart handler / ours",
        measure=Ratio("http", "quart", "ordermill-gateway", "cpu_us"),
        bound=0.8,
    ),
    Target(
        what="200 customers follow their orders: CPU of an order / without them",
        measure=Ratio("watched", "watched", "unwatched", "cpu_us"),
        bound=1.05,
        side="<=",
    ),
    Target(
        what="the page of an order: CPU",
        measure=Figure("watched", "order-page", "cpu_us"),
        bound=20_000,
        side="<=",
        unit=" us",
    ),
    Target(
        what="order placed until prepared, p99 at half of the saturation rate",
        measure=Figure("e2e", "ordermill-half", "prepared_p99"),
        bound=50,
        side="<=",
        unit=" ms",
    ),
    Target(
        what="memory of a service with its queue full",
        measure=Figure("backlog", "queue", "memory_mib"),
        bound=150,
        side="<=",
        unit=" MiB",
    ),
    Target(
        what="memory of the relay with its outbox full",
        measure=Figure("backlog", "outbox", "memory_mib"),
        bound=150,
        side="<=",
        unit=" MiB",
    ),
    Target(
        what="ready with 1,000,000 events in the store",
        measure=Figure("recover", "events-1m", "ready_s"),
        bound=3,
        side="<=",
        unit=" s",
    ),
    Target(
        what="CPU of an order with 100,000 orders in the store / with 10,000",
        measure=Ratio("growth", "orders-100k", "orders-10k", "cpu_us"),
        bound=1.1,
        side="<=",
    ),
    Target(
        what="CPU of a read with 100,000 orders in the store / with 10,000",
        measure=Ratio("growth", "orders-100k", "orders-10k", "read_cpu_us"),
        bound=1.1,
        side="<=",
    ),
    Target(
        what="CPU of an order with 1,000,000 orders in the store / with 10,000 (long runs)",
        measure=Ratio("growth", "orders-1m", "orders-10k", "cpu_us"),
        bound=1.1,
        side="<=",
    ),
    Target(
        what="CPU of a read with 1,000,000 orders in the store / with 10,000 (long runs)",
        measure=Ratio("growth", "orders-1m", "orders-10k", "read_cpu_us"),
        bound=1.1,
        side="<=",
    ),
    Target(
        what="simulated runs of 20 orders in a second of CPU time, one process",
        measure=Figure("sim", "together", "seeds_per_cpu_s"),
        bound=10,
        unit="",
    ),
    Target(
        what="simulated runs of 20 orders in a second of CPU time, a process a service",
        measure=Figure("sim", "apart", "seeds_per_cpu_s"),
        bound=2,
        unit="",
    ),
)


def judge(results: Results, cases: Sequence[str]) -> list[Judged]:
    """Judge the rows of these cases."""
    return [target.judge(results) for target in TARGETS if target.measure.case in cases]
