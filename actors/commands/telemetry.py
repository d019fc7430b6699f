"""The telemetry of a command that runs services, from its global options."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec

from actors.cli import Options
from actors.settings import Settings
from actors.system import EVENTS, METRICS
from runtime.errors import ConfigurationError
from runtime.telemetry import Level, Telemetry
from runtime.tracing import Spans

_LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
_COLLECTOR = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def telemetry_for(
    settings: Settings,
    options: Options,
    wall: Callable[[], float],
    services: Sequence[str] = (),
) -> Telemetry:
    """Return the process's telemetry; ``-v`` and ``-q`` move the configured log level.

    Of ``services`` spans are collected, where the settings say so: `Telemetry.close` it then.
    """
    level = _LEVELS.index(settings.log.level) - options.verbosity
    telemetry = Telemetry(
        wall=wall,
        log_level=_LEVELS[min(max(level, 0), len(_LEVELS) - 1)],
        log_format=options.log_format or settings.log.format,
        metrics=METRICS,
        events=EVENTS,
        spans=_spans(settings, options.environment, services) if services else None,
    )
    telemetry.adopt_library_logs()
    return telemetry


def _spans(
    settings: Settings, environment: Mapping[str, str], services: Sequence[str]
) -> Spans | None:
    """Return where spans go. The SDK is imported here and nowhere else, where it is wanted."""
    wanted, installed = settings.otel.enabled, find_spec("opentelemetry") is not None
    named = any(environment.get(name) for name in _COLLECTOR)
    if wanted == "off" or (wanted == "auto" and not (named and installed)):
        return None
    if not installed:
        raise ConfigurationError(
            "otel.enabled is on, and OpenTelemetry is not installed",
            hint="pip install 'ordermill[otel]'",
        )
    from runtime.otel import exported_spans

    alone = f"-{services[0]}" if len(services) == 1 else ""
    return exported_spans(f"ordermill{alone}", version("ordermill"))
