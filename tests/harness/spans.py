"""Spans of the SDK that stay in memory, and what a trace is made of."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.otel import OtelSpans


class KeptSpans(OtelSpans):
    """Spans that have ended, by the trace that they belong to."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        super().__init__(SimpleSpanProcessor(self._kept), "ordermill", "0")

    def of(self, trace_id: str) -> list[ReadableSpan]:
        """Return the spans of this trace, in the order in which they ended."""
        found = self._kept.get_finished_spans()
        return [span for span in found if f"{span.context.trace_id:032x}" == trace_id]

    def traces(self) -> list[str]:
        """Return every trace, in the order of their first ends."""
        found = self._kept.get_finished_spans()
        return list(dict.fromkeys(f"{span.context.trace_id:032x}" for span in found))


def attributes(span: ReadableSpan) -> dict[str, object]:
    """Return what a span says of itself."""
    return dict(span.attributes or {})


def below(spans: list[ReadableSpan], span: ReadableSpan) -> list[str]:
    """Return the names of the spans right below this one, in the order in which they began."""
    children = [
        other for other in spans if other.parent and other.parent.span_id == span.context.span_id
    ]
    return [child.name for child in sorted(children, key=lambda child: child.start_time or 0)]
