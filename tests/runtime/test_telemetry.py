import ast
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.signals import EVENTS, METRICS, Metric
from runtime.telemetry import PINNED_LOGGERS, Telemetry, quiet_telemetry

ROOT = Path(__file__).parents[2]


class Log:
    """Telemetry whose lines are kept."""

    def __init__(self, **options: object) -> None:
        self.lines: list[str] = []
        options.setdefault("log_format", "json")
        self.telemetry = Telemetry(
            wall=lambda: 1_700_000_000.25,
            write=self.lines.append,
            **options,  # type: ignore[arg-type]
        )

    @property
    def last(self) -> dict[str, object]:
        decoded: dict[str, object] = msgspec.json.decode(self.lines[-1])
        return decoded


def sample(telemetry: Telemetry, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(telemetry.render().decode()):
        for found in family.samples:
            if found.name == f"ordermill_{name}" and found.labels == labels:
                return found.value
    raise AssertionError(f"no sample {name} {labels}")


# Log


def test_a_line_begins_with_time_level_and_event() -> None:
    log = Log()
    log.telemetry.event("message.retry", queue="payment", attempt=2)
    assert log.lines[0].startswith(
        '{"at":"2023-11-14T22:13:20.250+00:00","level":"info","event":"message.retry","queue":'
    )
    assert (log.last["queue"], log.last["attempt"]) == ("payment", 2)


def test_text_has_the_same_in_one_line() -> None:
    log = Log(log_format="text")
    log.telemetry.event("message.retry", queue="payment", attempt=2)
    (line,) = log.lines
    assert "message.retry" in line
    assert "queue=payment" in line
    assert "\n" not in line


def test_a_field_that_the_table_does_not_list_is_left_out() -> None:
    log = Log()
    log.telemetry.event("message.retry", queue="payment", email="someone@example.com")
    assert "example.com" not in log.lines[0]


def test_an_event_that_no_table_declares_is_still_written() -> None:
    log = Log()
    log.telemetry.event("never.heard.of", "error", why="x")
    assert (log.last["event"], log.last["why"], log.last["level"]) == (
        "never.heard.of",
        "x",
        "error",
    )


def test_a_system_adds_its_own_events() -> None:
    log = Log(events={"thing.done": ("thing",)})
    log.telemetry.event("thing.done", thing="t", other="o")
    assert "other" not in log.last


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb\r\x1b[31m", "a\\nb\\r\\x1b[31m"),
        ("right\u202eleft", "right\\u202eleft"),
        ("4111 1111 1111 1111", "[digits]"),
        (b"bytes", "b'bytes'"),
        (True, True),
        (1.5, 1.5),
        (None, None),
        (ValueError("no\nway"), "ValueError: no\\nway"),
    ],
)
def test_a_value_cannot_forge_a_line_or_show_a_card(value: object, shown: object) -> None:
    log = Log()
    log.telemetry.event("unlisted", field=value)
    assert log.last["field"] == shown
    assert len(log.lines) == 1


def test_the_text_of_a_decoding_error_is_never_shown() -> None:
    log = Log()
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(b'{"4111111111111111": 1}', type=dict[int, str])
    log.telemetry.event("unlisted", field=ExceptionGroup("g", [caught.value]))
    assert log.last["field"] == "ExceptionGroup of 1: ValidationError"


def test_levels_below_the_threshold_are_silent() -> None:
    log = Log(log_level="warning")
    log.telemetry.event("unlisted", "info")
    log.telemetry.event("unlisted", "warning")
    assert len(log.lines) == 1


def test_quiet_telemetry_counts_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = quiet_telemetry()
    telemetry.event("unlisted", "error")
    telemetry.count("version_conflicts_total")
    assert sample(telemetry, "version_conflicts_total") == 1
    assert capsys.readouterr() == ("", "")


def test_lines_go_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    Telemetry(wall=lambda: 0.0).event("unlisted")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith('{"at":"1970-01-01T00:00:00.000+00:00"')


@pytest.fixture
def root_handlers() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers
    yield
    root.handlers = before


@pytest.mark.usefixtures("root_handlers")
def test_what_libraries_log_becomes_an_event_of_ours() -> None:
    log = Log()
    log.telemetry.adopt_library_logs()
    logger = logging.getLogger("hypercorn.error")
    logger.debug("frame %s", "secret")
    logger.warning("lost \x1b[2J%s\nfuture: <Task exception=ValueError('personal')>", "peer")
    assert log.last["logger"] == "hypercorn.error"
    assert log.last["text"] == "lost \\x1b[2Jpeer"
    assert "where" not in log.last
    try:
        raise ValueError("planted")
    except ValueError:
        logger.exception("failed")
    assert log.last["level"] == "error"
    assert log.last["text"] == "failed (ValueError: planted)"
    assert str(log.last["where"]).startswith("test_telemetry.py:")
    assert len(log.lines) == 2


@pytest.mark.usefixtures("root_handlers")
def test_a_library_s_log_never_shows_what_could_not_be_decoded_and_never_fails() -> None:
    log = Log()
    log.telemetry.adopt_library_logs()
    logger = logging.getLogger("quart.serving")
    try:
        msgspec.json.decode(b'"personal"', type=int)
    except msgspec.ValidationError:
        logger.exception("Error in ASGI Framework")
    assert log.last["text"] == "Error in ASGI Framework (ValidationError)"
    logger.warning("%d of %s", "three")
    assert log.last["text"] == "%d of %s"


def test_library_loggers_are_pinned() -> None:
    for name, level in PINNED_LOGGERS.items():
        assert logging.getLogger(name).getEffectiveLevel() == level >= logging.WARNING


# Metrics


def test_a_counter_adds_up_by_label() -> None:
    telemetry = quiet_telemetry()
    telemetry.count("actor_restarts_total", actor="a", reason="failed")
    telemetry.count("actor_restarts_total", 2, reason="failed", actor="a")
    telemetry.count("actor_restarts_total", actor="b", reason="failed")
    assert sample(telemetry, "actor_restarts_total", actor="a", reason="failed") == 3
    assert sample(telemetry, "actor_restarts_total", actor="b", reason="failed") == 1


def test_a_gauge_is_set_or_asked_for() -> None:
    telemetry = quiet_telemetry()
    telemetry.gauge("outbox_pending", 4)
    telemetry.gauge("outbox_pending", 5)
    depth = [7]
    telemetry.gauge("mailbox_depth", lambda: depth[0], actor="a")
    telemetry.gauge("mailbox_rejected_total", lambda: 2, actor="a")
    assert sample(telemetry, "outbox_pending") == 5
    assert sample(telemetry, "mailbox_depth", actor="a") == 7
    assert sample(telemetry, "mailbox_rejected_total", actor="a") == 2
    telemetry.gauge("mailbox_depth", 1, actor="b")
    assert telemetry.gauges("mailbox_depth") == {("a",): 7, ("b",): 1}
    assert telemetry.gauges("outbox_pending") == {(): 5}
    assert telemetry.gauges("dead_letters") == {}


def test_a_histogram_counts_up_to_each_bound() -> None:
    telemetry = Telemetry(
        wall=lambda: 0.0,
        log_level="off",
        metrics=[Metric("wait_seconds", "histogram", "Waiting.", ("who",), (0.1, 1.0))],
    )
    for seconds in (0.05, 0.1, 0.5, 7.0):
        telemetry.observe("wait_seconds", seconds, who="a")
    counts = [
        sample(telemetry, "wait_seconds_bucket", who="a", le=le) for le in ("0.1", "1.0", "+Inf")
    ]
    assert counts == [2, 3, 4]
    assert sample(telemetry, "wait_seconds_count", who="a") == 4
    assert sample(telemetry, "wait_seconds_sum", who="a") == pytest.approx(7.65)


def test_every_metric_is_described_before_its_first_sample() -> None:
    text = quiet_telemetry().render().decode()
    for metric in METRICS:
        assert f"# TYPE ordermill_{metric.name} {metric.kind}" in text


def test_two_processes_in_one_do_not_mix() -> None:
    one, two = quiet_telemetry(), quiet_telemetry()
    one.count("version_conflicts_total")
    with pytest.raises(AssertionError):
        sample(two, "version_conflicts_total")


def test_a_metric_misused_is_named_with_the_right_use() -> None:
    telemetry = quiet_telemetry()
    with pytest.raises(KeyError, match="did you mean actor_restarts_total"):
        telemetry.count("actor_restart_total", actor="a", reason="failed")
    with pytest.raises(KeyError, match=r"a counter with labels .*'reason'"):
        telemetry.count("actor_restarts_total", actor="a")
    with pytest.raises(KeyError, match="a counter with labels"):
        telemetry.count("actor_restarts_total", actor="a", cause="failed")
    with pytest.raises(KeyError, match="a counter with labels"):
        telemetry.observe("actor_restarts_total", 1.0, actor="a", reason="failed")
    with pytest.raises(KeyError, match="a counter with labels"):
        telemetry.gauge("version_conflicts_total", 1.0)


# The contract


def _calls(method: str) -> Iterator[tuple[Path, ast.Call, str]]:
    for path in sorted((ROOT / "runtime").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == method
                and "telemetry" in ast.unparse(node.func.value)
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield path, node, str(node.args[0].value)


def test_every_event_of_the_runtime_is_declared_with_its_fields() -> None:
    wrong = [
        f"{path.name}:{call.lineno} {name} {keyword.arg}"
        for path, call, name in _calls("event")
        for keyword in call.keywords
        if keyword.arg != "level" and keyword.arg not in EVENTS.get(name, ())
    ]
    assert wrong == []


@pytest.mark.parametrize("method", ["count", "observe", "gauge"])
def test_every_metric_of_the_runtime_is_declared_with_its_labels(method: str) -> None:
    declared = {metric.name: set(metric.labels) for metric in METRICS}
    wrong = [
        f"{path.name}:{call.lineno} {name}"
        for path, call, name in _calls(method)
        if {keyword.arg for keyword in call.keywords} != declared.get(name)
    ]
    assert wrong == []


def test_a_log_on_a_full_disk_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stderr", full)
        telemetry = Telemetry(wall=lambda: 0.0, log_format="json")
        for _ in range(10):
            telemetry.event("message.retry", queue="payment")
        with suppress(OSError):
            full.close()  # it still holds what it could not write
