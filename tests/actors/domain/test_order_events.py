"""Commands validate themselves when they are decoded."""

import msgspec
import pytest

from actors.domain.order_events import CancelOrder, Command, Intent, PaymentDetails, PlaceOrder
from actors.domain.values import Line, Money
from tests.harness.orders import LINES, sample_placing


def _decoded(**changes: object) -> Command:
    placing = msgspec.structs.replace(sample_placing(), **changes)
    return msgspec.json.decode(msgspec.json.encode(placing), type=Command)


def test_a_command_survives_its_encoding() -> None:
    assert _decoded() == sample_placing()


@pytest.mark.parametrize("count", [0, 51])
def test_an_order_has_one_to_fifty_lines(count: int) -> None:
    lines = tuple(Line(f"S-{n}", "s", 1, Money(1, "EUR")) for n in range(count))
    with pytest.raises(msgspec.ValidationError, match="items"):
        _decoded(items=lines)


def test_a_sku_appears_once() -> None:
    with pytest.raises(ValueError, match="one line for each `sku`"):
        msgspec.structs.replace(sample_placing(), items=(LINES[0], LINES[0]))


def test_an_order_has_one_currency() -> None:
    dollars = msgspec.structs.replace(LINES[1], unit_price=Money(1, "USD"))
    with pytest.raises(ValueError, match="one currency"):
        msgspec.structs.replace(sample_placing(), items=(LINES[0], dollars))


@pytest.mark.parametrize(
    "payment",
    [
        PaymentDetails("4242424242424242", "visa", "4242"),
        PaymentDetails("pm_x\n", "visa", "4242"),
        PaymentDetails("pm_x", "visa", "42424"),
        PaymentDetails("pm_x", "<b>", "4242"),
    ],
)
def test_only_tokens_get_here(payment: PaymentDetails) -> None:
    with pytest.raises(msgspec.ValidationError):
        _decoded(payment=payment)


def test_a_reason_is_short() -> None:
    cancel = msgspec.json.encode(CancelOrder("ord_1", "customer", "r" * 201))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(cancel, type=Command)
    assert isinstance(sample_placing(), PlaceOrder)


def test_a_reason_goes_into_the_log_and_so_is_tidy() -> None:
    assert CancelOrder("ord_1", "customer", " Rene\u0301e ").reason == "Renée"
    for reason in ("card 4242 4242 4242 4242", "a\u202eb", "a\x00b", " "):
        with pytest.raises(ValueError, match="`reason` must not"):
            CancelOrder("ord_1", "customer", reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"correlation_id": ""},
        {"correlation_id": "a b"},
        {"correlation_id": "a" * 129},
        {"key": ""},
        {"key": "k" * 256},
        {"traceparent": "00-abc"},
    ],
)
def test_an_intent_carries_only_what_a_message_can(changes: dict[str, str]) -> None:
    intent = {"principal": "guest", "route": "POST /v1/orders", "correlation_id": "req_1"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({**intent, **changes}), type=Intent)
