"""What a piece of work belongs to goes on with it: a trace from outside, or one of its own."""

import pytest

from runtime import tracing
from runtime.jobs import Job, Told
from runtime.message import Message
from runtime.message_report import MessageReport
from runtime.telemetry import Telemetry
from runtime.tracing import TRACEPARENT, TRACESTATE, TRACESTATE_MAX, well_formed_state
from tests.harness.spans import KeptSpans, attributes

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7"


def message(**headers: str) -> Message:
    return Message(
        message_id="evt_1",
        type="order-created/v1",
        body=b"{}",
        correlation_id="cor_1",
        app_id="tests",
        timestamp=0,
        headers=dict(headers),
    )


def report(spans: KeptSpans | None = None) -> MessageReport:
    telemetry = Telemetry(wall=lambda: 0.0, log_level="off", spans=spans)
    return MessageReport(telemetry, "payment", ["order-created"])


async def place_of(report: MessageReport, item: Job | Told) -> tuple[str | None, str | None]:
    """Return the trace that the work on an item belongs to."""
    seen: list[tuple[str | None, str | None]] = []

    async def work(_: Job | Told) -> None:
        seen.append((tracing.current(), tracing.current_state()))

    await report.traced(work)(item)
    return seen[0]


async def nothing() -> None:
    return


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({TRACEPARENT: PARENT, TRACESTATE: STATE}, (PARENT, STATE)),
        ({TRACEPARENT: PARENT}, (PARENT, None)),
        ({TRACEPARENT: PARENT, TRACESTATE: "no state"}, (PARENT, None)),
        ({TRACEPARENT: "no trace", TRACESTATE: STATE}, (None, None)),
        ({TRACESTATE: STATE}, (None, None)),
    ],
)
async def test_a_message_goes_on_in_its_trace(
    headers: dict[str, str], place: tuple[str | None, str | None]
) -> None:
    assert await place_of(report(), Job("ord_1", message(**headers), None)) == place


async def test_work_of_ones_own_is_in_nobodys_trace_and_begins_one() -> None:
    job = Job("ord_1", message(**{TRACEPARENT: PARENT, TRACESTATE: STATE}), None)
    uncollected = report()
    await place_of(uncollected, job)
    assert await place_of(uncollected, Told("ord_1", nothing)) == (None, None)
    spans = KeptSpans()
    traceparent, state = await place_of(report(spans), Told("ord_1", nothing))
    assert traceparent is not None
    assert state is None
    (trace,) = spans.traces()
    (span,) = spans.of(trace)
    assert (span.name, span.parent) == ("resume payment", None)
    assert attributes(span)["ordermill.key"] == "ord_1"
    assert traceparent.split("-")[1] == trace


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a",
            "=b",
            "A=b",
            "a=",
            "a=b,",
            "a=b;c=d\n",
            "a=b\x00",
            "a=ü",
            "user=ada@example.org",
        ),
        *("card=4242424242424242", f"a={'b' * TRACESTATE_MAX}", ",".join(["a=b"] * 33), 7, None),
    ],
)
def test_a_state_that_may_not_be_kept_is_let_go_of(text: object) -> None:
    assert well_formed_state(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            STATE,
            "a=b",
            "1a-_*/=!~",
            "fw529a3039@dt=FfAAAAAAAAAAAAAACAAAAAA",
            "a=b c",
            "a=b:1;t.dm:-4",
        ),
        "1349956@nr=0-0-1349956-41346604-27ddd2d8890283b4-b28be285632bbc0a-1-1.1273-1569367663277",
        "dd=s:2;o:rum;t.tid:64f1b2c300000000;t.ts:1700000000123",
        *("a=b , c=d", ",".join(f"k{n}=v" for n in range(32))),
    ],
)
def test_a_state_is_kept_as_it_came(text: str) -> None:
    assert well_formed_state(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a=b,card=4242424242424242,c=d", "a=b,c=d"),
        ("card=4242-4242-4242-4242-1 , c=d", "c=d"),
        ("a=b,user=ada@example.org", "a=b"),
    ],
)
def test_only_the_member_that_could_be_personal_is_let_go_of(text: str, kept: str) -> None:
    assert well_formed_state(text) == kept
