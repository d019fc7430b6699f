"""What is wrong with the value of an x-argument, in RabbitMQ's words (rabbit_amqqueue.erl, 3.10.8).

Each check takes a raw value and returns the reason as Erlang prints it, or None.
"""

from collections.abc import Callable

from runtime.broker import tables

Check = Callable[[bytes], str | None]

TIMER_MS_MAX = 315_360_000_000  # ten years
PRIORITY_MAX = 255


def integer(value: bytes) -> str | None:
    """Any integer."""
    kind = tables.type_name(value)
    return None if kind in tables.INTEGERS else f'"expected integer, got {kind}"'


def not_negative(value: bytes) -> str | None:
    """An integer from 0."""
    wrong = integer(value)
    if wrong is None and tables.integer(value) < 0:
        return f"{{value_negative,{tables.integer(value)}}}"
    return wrong


def duration(value: bytes) -> str | None:
    """Milliseconds, from 0 to ten years."""
    wrong = not_negative(value)
    if wrong is None and tables.integer(value) > TIMER_MS_MAX:
        return f"{{value_too_large,{tables.integer(value)}}}"
    return wrong


def positive_duration(value: bytes) -> str | None:
    """Milliseconds, from 1 to ten years."""
    if integer(value) is None and tables.integer(value) == 0:
        return "{value_zero,0}"
    return duration(value)


def positive(value: bytes) -> str | None:
    """An integer from 1."""
    wrong = not_negative(value)
    return "{value_zero,0}" if wrong is None and tables.integer(value) == 0 else wrong


def priority_max(value: bytes) -> str | None:
    """An integer from 0 to 255."""
    wrong = not_negative(value)
    if wrong is None and tables.integer(value) > PRIORITY_MAX:
        return f"{{max_value_exceeded,{tables.integer(value)}}}"
    return wrong


def queue_version(value: bytes) -> str | None:
    """1 or 2."""
    wrong = not_negative(value)
    if wrong is None and tables.integer(value) not in (1, 2):
        return f"\"unsupported queue version '{tables.integer(value)}'\""
    return wrong


def of_type(kind: str) -> Check:
    """Build the check for a value of this type."""

    def check(value: bytes) -> str | None:
        actual = tables.type_name(value)
        return None if actual == kind else f"{{unacceptable_type,{actual}}}"

    return check


def one_of(words: tuple[str, ...], wrong: Callable[[str], str]) -> Check:
    """Build the check for a long string that is one of these."""

    def check(value: bytes) -> str | None:
        unfit = of_type("longstr")(value)
        if unfit is None and tables.string(value) not in words:
            return wrong(tables.string(value))
        return unfit

    return check
