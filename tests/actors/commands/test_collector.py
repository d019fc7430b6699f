"""Where spans go, as the settings and OpenTelemetry's own variables say."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from actors.cli import Options
from actors.commands.telemetry import telemetry_for
from actors.settings import Otel, Settings
from runtime.errors import ConfigurationError

NAMED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
COLD = """
import sys
from actors.cli import Options
from actors.commands import serving
from actors.commands.telemetry import telemetry_for
from actors.settings import Settings
telemetry = telemetry_for(
    Settings(), Options(None, (), 0, None, "never", None, None, False), lambda: 0.0, ("gateway",)
)
assert telemetry.spans is None
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Run what takes spans by OTLP over HTTP; yield its address and what it was sent."""
    sent: list[ExportTraceServiceRequest] = []

    class Collecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                sent.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collecting) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", sent
        server.shutdown()


def options(**environment: str) -> Options:
    return Options(None, (), 0, None, "never", None, None, False, environment)


def test_without_a_collector_the_sdk_is_not_even_imported() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", COLD], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"


@pytest.mark.parametrize(
    ("enabled", "environment", "services", "collected"),
    [
        ("auto", NAMED, ("gateway",), True),
        ("auto", {}, ("gateway",), False),
        ("off", NAMED, ("gateway",), False),
        ("on", {}, ("gateway",), True),
        ("on", NAMED, (), False),
    ],
)
def test_the_settings_say_whether_spans_are_collected(
    enabled: str, environment: dict[str, str], services: tuple[str, ...], collected: bool
) -> None:
    settings = Settings(otel=Otel(enabled=enabled))  # type: ignore[arg-type]
    telemetry = telemetry_for(settings, options(**environment), lambda: 0.0, services)
    assert (telemetry.spans is not None) == collected
    telemetry.close()


def test_what_is_wanted_and_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.commands.telemetry.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"otel\.enabled") as caught:
        telemetry_for(Settings(otel=Otel(enabled="on")), options(), lambda: 0.0, ("gateway",))
    assert "ordermill[otel]" in caught.value.hint
    quiet = telemetry_for(Settings(), options(**NAMED), lambda: 0.0, ("gateway",))
    assert quiet.spans is None


def test_spans_reach_the_collector_before_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collector() as (url, sent):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        environment = options(OTEL_EXPORTER_OTLP_ENDPOINT=url)
        telemetry = telemetry_for(Settings(), environment, lambda: 0.0, ("payment",))
        assert telemetry.spans is not None
        span = telemetry.spans.begin("process payment", "consumer", None, {"a": 1})
        span.end()
        telemetry.close()
        (resource,) = sent[0].resource_spans
        (shown,) = resource.scope_spans[0].spans
        names = {row.key: row.value.string_value for row in resource.resource.attributes}
    assert (shown.name, names["service.name"]) == ("process payment", "ordermill-payment")
    assert span.traceparent[:-3] == f"00-{shown.trace_id.hex()}-{shown.span_id.hex()}"


def test_a_collector_that_is_away_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NAMED["OTEL_EXPORTER_OTLP_ENDPOINT"])
    telemetry = telemetry_for(Settings(), options(**NAMED), lambda: 0.0, ("payment",))
    assert telemetry.spans is not None
    telemetry.spans.begin("process payment", "consumer", None, {}).end()
    telemetry.close()
