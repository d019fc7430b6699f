"""One order is one trace: over HTTP, the store and the broker, with spans and without."""

import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.harness.apart import Apart
from tests.harness.spans import KeptSpans, attributes, below
from tests.harness.system import LiveSystem, live_system, order_body
from tests.harness.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
SETTINGS = ("payment.hold_s=0", "shipping.hold_s=0", "retry.tiers_s=1", "api.rate_per_min=0")


async def place(client: httpx.AsyncClient, card: str = "pm_card_visa") -> str:
    headers = {**TRACEPARENT, "tracestate": STATE}
    answer = await client.post("/v1/orders", json=order_body(card), headers=headers)
    assert answer.status_code == 201
    order_id: str = answer.json()["id"]
    return order_id


def stored(folder: Path, column: str = "traceparent") -> dict[str, str | None]:
    """Return what each event in the store names as its origin."""
    with sqlite3.connect(folder / "orders.db") as database:
        return dict(database.execute(f"SELECT type, {column} FROM events ORDER BY position"))


def operator(system: LiveSystem) -> str:
    return (system.running.data_dir / "secrets" / "operator-token").read_text()


async def mails(system: LiveSystem, count: int) -> None:
    async def written() -> bool:
        return len(system.mails()) >= count

    await eventually(written)


async def test_an_order_is_one_trace_over_all_services(tmp_path: Path) -> None:
    spans = KeptSpans()
    async with live_system(tmp_path, spans=spans) as system:
        order_id = await place(system.client)
        await system.wait_for(order_id, "shipping-prepared")
        answer = await system.client.post(
            f"/v1/orders/{order_id}/shipment",
            json={"carrier": "DHL", "tracking": "JD0123"},
            headers={**TRACEPARENT, "authorization": f"Bearer {operator(system)}"},
        )
        assert answer.status_code == 200
        await system.quiet()
        await mails(system, 2)
    found = spans.of(TRACE)
    names = [span.name for span in found]
    assert sorted(set(names)) == [
        *("POST /v1/orders", "POST /v1/orders/{order_id}/shipment"),
        *("append order", "process notification", "process payment", "process shipping"),
        *("publish orders", "publish payment", "publish shipping"),
    ]
    ids = {span.context.span_id for span in found}
    outside = [span for span in found if span.parent and span.parent.span_id not in ids]
    assert {span.name.split()[0] for span in outside} == {"POST"}, "nothing else is a root"
    assert {f"{span.parent.span_id:016x}" for span in outside if span.parent} == {CALLER}
    appends = [span for span in found if span.name == "append order"]
    appended = {str(attributes(span)["ordermill.event.type"]): span for span in appends}
    followed = below(found, appended["order-created"])
    assert sorted(followed) == ["process notification", "process payment", "publish orders"]
    (payment,) = [span for span in found if span.name == "process payment"]
    assert below(found, payment) == ["append order", "append order"]
    assert attributes(payment)["ordermill.message.result"] == "ok"
    assert attributes(payment)["messaging.message.body.size"]
    assert all(span.status.is_ok or span.status.is_unset for span in found)
    assert set(stored(tmp_path)) == set(appended)
    assert set(stored(tmp_path, "tracestate").values()) == {STATE, None}, "shipped had none"
    assert {span.context.trace_state.to_header() for span in found} >= {STATE}
    for kind, traceparent in stored(tmp_path).items():
        context = appended[kind].context
        assert traceparent == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


async def test_what_fails_says_so_and_where_its_copy_went(tmp_path: Path) -> None:
    spans = KeptSpans()
    async with live_system(tmp_path, spans=spans) as system:
        await place(system.client, "pm_card_poison")

        async def parked() -> bool:
            return any(span.name == "settle payment" for span in spans.of(TRACE))

        await eventually(parked)
    found = spans.of(TRACE)
    (payment,) = [span for span in found if span.name == "process payment"]
    (settled,) = [span for span in found if span.name == "settle payment"]
    assert attributes(payment)["ordermill.message.result"] == "dead"
    assert attributes(payment)["error.type"] == "Unprocessable"
    assert not payment.status.is_ok
    assert below(found, settled) == ["publish payment.dead"]


async def test_probes_leave_no_spans_and_links_no_secrets(tmp_path: Path) -> None:
    spans = KeptSpans()
    async with live_system(tmp_path, spans=spans) as system:
        for path in ("/healthz", "/readyz", "/metrics", "/o/not-to-be-told", "/nowhere"):
            await system.client.get(path)
    found = [span for trace in spans.traces() for span in spans.of(trace)]
    assert [(span.name, attributes(span).get("http.route")) for span in found] == [
        ("GET /o/{link}", "/o/{link}"),
        ("GET", None),
    ]
    assert "not-to-be-told" not in "".join(span.to_json() for span in found)


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
async def test_a_trace_goes_on_where_nobody_collects_spans(tmp_path: Path, apart: bool) -> None:
    if not apart:
        async with live_system(tmp_path) as system:
            order_id = await place(system.client)
            await system.wait_for(order_id, "shipping-prepared")
        found = stored(tmp_path)
    else:
        processes = Apart(tmp_path, "embedded", *SETTINGS)
        try:
            processes.start()
            async with httpx.AsyncClient(
                base_url=processes.url("gateway"), trust_env=False, timeout=60
            ) as client:
                await place(client)

            async def prepared() -> bool:
                return "shipping-prepared" in stored(processes.data_dir)

            await eventually(prepared)
            found = stored(processes.data_dir)
        finally:
            processes.close()
    assert len(found) >= 5
    assert set(found.values()) == {TRACEPARENT["traceparent"]}
    assert set(stored(tmp_path if not apart else processes.data_dir, "tracestate").values()) == {
        STATE
    }
