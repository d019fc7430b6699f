"""Spans by OpenTelemetry's SDK. Only whoever collects spans imports this (the extra ``otel``).

Nothing of the SDK's own is used to carry a context on: `runtime.tracing` does that, with or without
it, so that both ways lead through the same headers and the same columns.
"""

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan

from runtime.tracing import Attributes, Kind, Span, current_state

CLOSE_MS_MAX = 3000
_KINDS: dict[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}


class OtelSpans:
    """`runtime.tracing.Spans` that go to ``processor``.

    ``service`` names this process, unless ``OTEL_SERVICE_NAME`` does; every other variable of
    OpenTelemetry's counts too (sampler, limits, resource attributes).
    """

    def __init__(self, processor: SpanProcessor, service: str, version: str) -> None:
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: service}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("ordermill", version)

    def begin(self, name: str, kind: Kind, parent: str | None, attributes: Attributes) -> Span:
        """Begin a span; see `runtime.tracing.Spans.begin`."""
        context = _remote(parent)
        return _OtelSpan(self._tracer.start_span(name, context, _KINDS[kind], attributes))

    def close(self) -> None:
        """Send what has ended; a collector that is away is not waited for any longer."""
        self._provider.force_flush(CLOSE_MS_MAX)
        self._provider.shutdown()


class _OtelSpan:
    """A span of the SDK as `runtime.tracing.Span`."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: SdkSpan) -> None:
        given = span.get_span_context()
        self._span = span
        self.traceparent = f"00-{given.trace_id:032x}-{given.span_id:016x}-{given.trace_flags:02x}"

    def note(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, error: str) -> None:
        self._span.set_attribute("error.type", error)
        self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        self._span.end()


def exported_spans(service: str, version: str) -> OtelSpans:
    """Return spans that a thread of the SDK sends to where ``OTEL_EXPORTER_OTLP_*`` says."""
    return OtelSpans(BatchSpanProcessor(OTLPSpanExporter()), service, version)


def _remote(parent: str | None) -> Context:
    """Return the context of a parent that is known by its traceparent; without one, of none."""
    if parent is None:
        return Context()
    _, trace_id, span_id, flags = parent.split("-")
    given = SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16)),
        trace_state=TraceState.from_header([current_state() or ""]),
    )
    return set_span_in_context(NonRecordingSpan(given), Context())
