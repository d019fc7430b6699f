"""Topic patterns against a reference that is slow and obviously right; routes and their order."""

import re

from hypothesis import given
from hypothesis import strategies as st

from runtime.broker import tables
from runtime.broker.matching import topic_matches
from runtime.broker.messages import Message
from runtime.broker.routing import Binding, Exchange, Exchanges

WORDS = st.sampled_from(["a", "b", "", "*", "#"])
HEADER = bytes.fromhex("003c0000") + bytes(10)


def reference(pattern: list[str], words: list[str]) -> bool:
    """RabbitMQ's documentation, literally."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(reference(pattern[1:], words[start:]) for start in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and reference(pattern[1:], words[1:])


@given(st.lists(WORDS, max_size=6), st.lists(st.sampled_from(["a", "b", ""]), max_size=6))
def test_topic_matches_like_the_reference(pattern: list[str], words: list[str]) -> None:
    text, key = ".".join(pattern), ".".join(words)
    expected = reference(text.split(".") if text else [], key.split(".") if key else [])
    assert topic_matches(text, key) == expected


def test_many_hashes_are_not_slow() -> None:
    assert not topic_matches(".".join(["#", "a"] * 40), ".".join(["a"] * 200 + ["b"]))


def message(key: str) -> Message:
    return Message("x", key, HEADER, b"")


def test_queues_come_once_and_in_order_of_their_names() -> None:
    exchanges = Exchanges()
    exchange = exchanges.by_name["x"] = Exchange("x", "topic", durable=False)
    for queue, key in (("q2", "a.#"), ("q1", "a.b"), ("q2", "#"), ("q3", "c")):
        exchange.bind(Binding("x", "queue", queue, key))
    assert exchanges.queues(exchange, message("a.b")) == ["q1", "q2"]


def test_a_new_binding_is_seen_by_keys_routed_before() -> None:
    exchanges = Exchanges()
    exchange = exchanges.by_name["x"] = Exchange("x", "direct", durable=False)
    assert exchanges.queues(exchange, message("k")) == []
    exchange.bind(Binding("x", "queue", "q", "k"))
    assert exchanges.queues(exchange, message("k")) == ["q"]
    exchange.unbind(Binding("x", "queue", "q", "k"))
    assert exchanges.queues(exchange, message("k")) == []


def test_exchanges_bound_in_a_circle_end() -> None:
    exchanges = Exchanges()
    for name, other in (("x", "y"), ("y", "x")):
        exchange = exchanges.by_name[name] = Exchange(name, "fanout", durable=False)
        exchange.bind(Binding(name, "exchange", other, ""))
        exchange.bind(Binding(name, "queue", f"q{name}", ""))
    assert exchanges.queues(exchanges.by_name["x"], message("k")) == ["qx", "qy"]


@given(st.text(st.characters(codec="latin-1"), max_size=8))
def test_a_pattern_without_wildcards_matches_itself_only(key: str) -> None:
    plain = re.sub(r"[*#]", "_", key)
    assert topic_matches(plain, plain)
    assert not topic_matches(plain, f"{plain}.more")


def test_a_table_keeps_types_apart() -> None:
    fields = {"n": tables.long(5), "s": tables.text("x"), "none": b"V"}
    assert tables.entries(tables.encoded(fields)[4:]) == fields
