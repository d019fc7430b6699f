"""Metrics for machines and one log line per event for people, behind one object.

Counting is a dictionary update on the event loop's thread: no lock, no clock, nothing allocated but
the key. prometheus_client comes in only when somebody asks for `Telemetry.render`, from a registry
of our own, so that several services (or nodes) in one process never mix their figures.
"""

import logging
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Literal, NoReturn

import msgspec
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import metrics_core as families

from runtime.log_tail import LogTail
from runtime.redaction import describe_error, printable, where_raised
from runtime.signals import EVENTS, METRICS, EventTable, Metric
from runtime.tracing import Spans

Level = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "text", "auto"]

# Below these levels libraries log frames, SQL parameters, headers and addresses, hence personal
# data. What aiormq logs reaches us as an error or an event too; a broker that is away would
# otherwise fill the log, one line for each attempt.
PINNED_LOGGERS = {
    "aiormq": logging.CRITICAL,
    "aiosqlite": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "hypercorn": logging.WARNING,
}
_PREFIX = "ordermill_"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "off": 100}

_Key = tuple[str, tuple[str, ...]]
_Source = Callable[[], float]


class _Buckets:
    """One histogram's counts; ``counts[i]`` belongs to the i-th bound, the last to infinity."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def cumulative(self) -> list[tuple[str, float]]:
        rows: list[tuple[str, float]] = []
        seen = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            rows.append((bound, float(seen)))
        return rows


class Telemetry:
    """The process's (or node's) metrics and log.

    ``metrics`` and ``events`` extend the runtime's own tables (see ``runtime.signals``). ``write``
    takes one finished log line, and ``tail`` keeps the latest ones; ``wall`` is the host's clock,
    for the line's time. ``spans`` is where spans go, None where nobody collects any.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float],
        log_level: Level | Literal["off"] = "info",
        log_format: LogFormat = "auto",
        write: Callable[[str], None] | None = None,
        metrics: Iterable[Metric] = (),
        events: EventTable | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.spans = spans
        self._metrics = {metric.name: metric for metric in (*METRICS, *metrics)}
        self._events = {**EVENTS, **(events or {})}
        self._numbers: dict[_Key, float] = {}
        self._sources: dict[_Key, _Source] = {}
        self._histograms: dict[_Key, _Buckets] = {}
        self.tail = LogTail()
        self._wall = wall
        self._threshold = _LEVELS[log_level]
        self._log = _logger(wall, log_format, write or _to_stderr)
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(self._families))

    def count(self, metric: str, n: float = 1, **labels: str | int) -> None:
        """Add ``n`` to a counter."""
        key = self._key(metric, "counter", labels)
        self._numbers[key] = self._numbers.get(key, 0.0) + n

    def observe(self, metric: str, seconds: float, times: int = 1, **labels: str | int) -> None:
        """Put a measurement into a histogram, as often as it was made."""
        key = self._key(metric, "histogram", labels)
        buckets = self._histograms.get(key)
        if buckets is None:
            buckets = self._histograms[key] = _Buckets(self._metrics[metric].buckets)
        buckets.add(seconds, times)

    def gauge(self, metric: str, value: float | _Source, **labels: str | int) -> None:
        """Set a gauge, or name the function that knows its value when somebody asks.

        A function may stand behind a counter too, where the figure is counted elsewhere. Setting
        it again (after a restart) replaces it.
        """
        if callable(value):
            self._sources[self._key(metric, "gauge counter", labels)] = value
        else:
            self._numbers[self._key(metric, "gauge", labels)] = value

    def total(self, metric: str, **labels: str) -> float:
        """Return a metric's sum over the samples with these labels; of a histogram, their count."""
        declared = self._metrics[metric].labels
        wanted = [(declared.index(label), value) for label, value in labels.items()]

        def fits(key: _Key) -> bool:
            return key[0] == metric and all(key[1][place] == value for place, value in wanted)

        return (
            sum(value for key, value in self._numbers.items() if fits(key))
            + sum(source() for key, source in self._sources.items() if fits(key))
            + sum(sum(found.counts) for key, found in self._histograms.items() if fits(key))
        )

    def gauges(self, metric: str) -> dict[tuple[str, ...], float]:
        """Return a gauge's values, by its labels' in the order in which they are declared."""
        numbers = {key[1]: value for key, value in self._numbers.items() if key[0] == metric}
        sources = {key[1]: source() for key, source in self._sources.items() if key[0] == metric}
        return {**numbers, **sources}

    def event(self, name: str, level: Level = "info", **fields: object) -> None:
        """Write one log line. Of a declared event only the declared fields are written.

        An event that no table declares is written too: a log call must never be what fails.
        """
        if _LEVELS[level] < self._threshold:
            return
        allowed = self._events.get(name, fields)
        shown = {key: _field(value) for key, value in fields.items() if key in allowed}
        self.tail.add(self._wall(), level, name, shown)
        self._log.log(_LEVELS[level], name, **shown)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format (0.0.4)."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """Send the spans that are left; nothing else waits here."""
        if self.spans is not None:
            self.spans.close()

    def adopt_library_logs(self) -> None:
        """Send what libraries log through `event` too (once a process, by the one that runs it)."""
        handler = _LibraryLog(self)
        logging.getLogger().handlers = [handler]

    def _key(self, metric: str, kinds: str, labels: Mapping[str, str | int]) -> _Key:
        declared = self._metrics.get(metric)
        if declared is None or declared.kind not in kinds or len(declared.labels) != len(labels):
            self._misused(metric, kinds, labels)
        try:
            return metric, tuple([str(labels[label]) for label in declared.labels])
        except KeyError:
            self._misused(metric, kinds, labels)

    def _misused(self, metric: str, kinds: str, labels: Mapping[str, str | int]) -> NoReturn:
        declared = self._metrics.get(metric)
        if declared is None:
            near = get_close_matches(metric, self._metrics, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise KeyError(f"no metric {metric} is declared{hint}")
        raise KeyError(
            f"{metric} is a {declared.kind} with labels {declared.labels}, "
            f"used as {kinds} with {tuple(labels)}"
        )

    def _families(self) -> Iterable[families.Metric]:
        values = {**self._numbers, **{key: source() for key, source in self._sources.items()}}
        for metric in self._metrics.values():
            name = _PREFIX + metric.name
            if metric.kind == "histogram":
                yield self._histogram_family(name, metric)
                continue
            make = (
                families.CounterMetricFamily
                if metric.kind == "counter"
                else (families.GaugeMetricFamily)
            )
            family = make(name, metric.description, labels=metric.labels)
            for (owner, labels), value in values.items():
                if owner == metric.name:
                    family.add_metric(labels, value)
            yield family

    def _histogram_family(self, name: str, metric: Metric) -> families.Metric:
        family = families.HistogramMetricFamily(name, metric.description, labels=metric.labels)
        for (owner, labels), buckets in self._histograms.items():
            if owner == metric.name:
                family.add_metric(labels, buckets.cumulative(), buckets.total)
        return family


class _Collector:
    """What prometheus_client asks for samples."""

    def __init__(self, collect: Callable[[], Iterable[families.Metric]]) -> None:
        self.collect = collect

    def describe(self) -> Iterable[families.Metric]:
        return ()


class _LibraryLog(logging.Handler):
    """A library's warning, as an event of ours: one line, and where, instead of a traceback.

    Only its first line: asyncio's further ones show objects, with whatever is in them.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        super().__init__(logging.WARNING)
        self._telemetry = telemetry

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            text = record.getMessage().partition("\n")[0]
        except (TypeError, ValueError):  # its arguments do not fit its text
            text = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            self._telemetry.event("library.log", level, logger=record.name, text=text)
            return
        text = f"{text} ({describe_error(error)})"
        where = where_raised(error)
        self._telemetry.event("library.log", level, logger=record.name, text=text, where=where)


def quiet_telemetry(metrics: Iterable[Metric] = (), events: EventTable | None = None) -> Telemetry:
    """Return telemetry that counts and logs nothing: for tests, and for runs nobody watches."""
    return Telemetry(wall=lambda: 0.0, log_level="off", metrics=metrics, events=events)


def pin_library_loggers() -> None:
    """Keep the libraries' loggers quiet, whatever the environment or a debugger asks for."""
    for name, level in PINNED_LOGGERS.items():
        logging.getLogger(name).setLevel(level)


def _field(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return describe_error(value)
    return printable(str(value))


def _to_stderr(line: str) -> None:
    # The disk that is full may be the one that keeps the log: a lost line is the smaller loss.
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class _Writer:
    """The end of structlog's chain: takes the rendered line, at whatever level."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def line(self, line: str) -> None:
        self._write(line)

    debug = info = warning = error = line


def _logger(
    wall: Callable[[], float], log_format: LogFormat, write: Callable[[str], None]
) -> structlog.typing.FilteringBoundLogger:
    def head(
        _logger: object, level: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        at = datetime.fromtimestamp(wall(), UTC).isoformat(timespec="milliseconds")
        return {"at": at, "level": level, "event": line.pop("event"), **line}

    text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="at")
        if text
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Writer(write), [head, renderer], wrapper_class=structlog.make_filtering_bound_logger(10)
    )
    return logger


def _json(line: Mapping[str, object], **_ignored: object) -> str:
    return msgspec.json.encode(line).decode()


pin_library_loggers()
