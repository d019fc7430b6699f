"""Events as every API shows them."""

import doctest

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain import event_json as module
from actors.domain.event_json import EventJson, event_json, event_of, rfc3339, unix_ms
from runtime.errors import Unprocessable
from tests.harness.orders import SAMPLES, sample_event, sample_order


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module) == doctest.TestResults(0, 2)


@pytest.mark.parametrize("name", SAMPLES)
def test_an_event_survives_the_way_through_json(name: str) -> None:
    event = sample_event(sample_order(), SAMPLES[name])
    shown = msgspec.json.encode(event_json(event))
    assert event_of(msgspec.json.decode(shown, type=EventJson)) == event


def test_the_names_are_those_of_the_message_properties() -> None:
    event = sample_event(None, SAMPLES["order-created"])
    shown = msgspec.json.decode(msgspec.json.encode(event_json(event)))
    assert shown["type"] == "order-created/v1"
    assert shown["app_id"] == "order-event-service"
    assert shown["published"] is True
    assert shown["time"] == "2023-11-14T22:13:21.000Z"


@given(st.integers(0, 4_102_444_800_000))
def test_times_keep_their_milliseconds(at_ms: int) -> None:
    assert unix_ms(rfc3339(at_ms)) == at_ms


@pytest.mark.parametrize("text", ["", "now", "2023-11-14", "2023-11-14T22:13:20", "1700000000"])
def test_a_time_needs_a_date_and_a_zone(text: str) -> None:
    with pytest.raises(Unprocessable):
        unix_ms(text)


@pytest.mark.parametrize("message_type", ["order-created", "order-created/v9", "nothing/v1", "/v1"])
def test_an_unknown_type_cannot_be_read(message_type: str) -> None:
    shown = event_json(sample_event(None, SAMPLES["order-created"]))
    with pytest.raises(Unprocessable):
        event_of(msgspec.structs.replace(shown, type=message_type))
