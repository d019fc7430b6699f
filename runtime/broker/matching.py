"""When a binding takes a message: by its routing key, or by its headers."""

from collections.abc import Callable

from runtime.broker import tables
from runtime.broker.errors import PRECONDITION_FAILED, BrokerError

_MATCHES = ("all", "any", "all-with-x", "any-with-x")


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern takes a routing key: ``*`` is one word, ``#`` any number of them.

    An empty key has no words at all. Linear walk with one point of return, so that no pattern can
    make it slow.

    >>> topic_matches("order.#", "order"), topic_matches("order.*", "order")
    (True, False)
    """
    patterns, words = _words(pattern), _words(key)
    at, word = 0, 0
    resume_at, resume_word = -1, 0
    while word < len(words):
        if at < len(patterns) and patterns[at] == "#":
            resume_at, resume_word = at, word
            at += 1
        elif at < len(patterns) and patterns[at] in ("*", words[word]):
            at += 1
            word += 1
        elif resume_at >= 0:
            resume_word += 1
            at, word = resume_at + 1, resume_word
        else:
            return False
    return all(rest == "#" for rest in patterns[at:])


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def headers_match(arguments: bytes, headers: tables.Entries) -> bool:
    """Whether a headers binding takes these headers. A value of void asks for presence only."""
    wanted = tables.entries(arguments)
    match = wanted.pop("x-match", b"")
    mode = tables.string(match) if match[:1] == b"S" else "all"
    if not mode.endswith("-with-x"):
        wanted = {name: value for name, value in wanted.items() if not name.startswith("x-")}
    hits = (_same(value, headers.get(name)) for name, value in wanted.items())
    return any(hits) if mode.startswith("any") else all(hits)


def _same(wanted: bytes, value: bytes | None) -> bool:
    if value is None:
        return False
    return tables.type_name(wanted) == "void" or tables.equal(wanted, value)


def check_headers_binding(arguments: tables.Entries) -> None:
    """Refuse a headers binding whose ``x-match`` says something else than RabbitMQ knows."""
    match = arguments.get("x-match")
    if match is None:
        return
    kind = tables.type_name(match)
    if kind != "longstr":
        shown = tables.printed(match)
        text = f"Invalid x-match field type {kind} (value {shown}); expected longstr"
        raise BrokerError(PRECONDITION_FAILED, text)
    if tables.string(match) not in _MATCHES:
        raise BrokerError(
            PRECONDITION_FAILED,
            f'Invalid x-match field value <<"{tables.string(match)}">>; '
            "expected all, any, all-with-x, or any-with-x",
        )


def _direct(key: str, routing_key: str) -> bool:
    return key == routing_key


def _fanout(key: str, routing_key: str) -> bool:
    return True


BY_KEY: dict[str, Callable[[str, str], bool]] = {
    "direct": _direct,
    "fanout": _fanout,
    "topic": topic_matches,
}
