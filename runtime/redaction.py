"""Text that came from outside, made safe to print.

One line stays one line: control characters, line separators and bidirectional marks are escaped,
so that no input can forge a log line or hide part of one. Long runs of digits (13 or more, as in a
card number) and e-mail addresses are masked. The text of a decoding error is never shown: msgspec
quotes the input.
"""

import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

_TEXT_MAX = 500
_DIGITS = re.compile(r"\d(?:[ -]?\d){12,}")
# Digits within a longer run of letters and digits are no number: ids and hashes have such runs.
_GROUPS = re.compile(r"(?<![0-9A-Za-z])[0-9]+(?:[ -][0-9]+)*(?![0-9A-Za-z])")
_GROUP_MIN = 4
_EMAIL = re.compile(r"[\w.!#$%&'+/=?^`{|}~-]+@(?:[\w-]+\.)+[^\W\d_]{2,}")
_FRAMES_MAX = 4
_FRAMES_KEPT = 30


def printable(text: str, length_max: int = _TEXT_MAX) -> str:
    r"""Return ``text`` on one line, unprintable characters escaped, at most ``length_max`` long.

    >>> printable("paid\n2024 forged line")
    'paid\\n2024 forged line'
    >>> printable("card 4111 1111 1111 1111 of ada@example.org declined")
    'card [digits] of [e-mail] declined'
    """
    if len(text) > 4 * length_max:  # what is cut in two could be half of a number
        text = text[: 4 * length_max].rstrip("0123456789 -")
    text = _DIGITS.sub("[digits]", text)
    if "@" in text:
        text = _EMAIL.sub("[e-mail]", text)
    if len(text) > length_max:
        text = text[: length_max - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def could_be_personal(text: str) -> bool:
    """Whether a text of anybody's, to be kept as it is, holds an e-mail address or a card number.

    Stricter than the masking of a log: there, a run of digits too much is lost; here, what a vendor
    needs. A card number begins with 2 to 6 (ISO/IEC 7812-1) and has a right check digit.

    >>> could_be_personal("ada@example.org"), could_be_personal("4242-4242-4242-4242-1")
    (True, True)
    >>> could_be_personal("0-0-1349956-41346604-27ddd2d8890283b4-1-1.1273-1569367663277")
    False
    """
    return _EMAIL.search(text) is not None or any(
        _is_card_number(number)
        for run in _GROUPS.finditer(text)
        for number in _spelled(re.split("[ -]", run.group()))
    )


def _spelled(groups: Sequence[str]) -> Iterator[str]:
    """Yield all the groups as one number, and such of them as cards are printed in."""
    yield "".join(groups)
    for i in range(len(groups)):
        for j in range(i + 1, len(groups) + 1):
            if len(groups[j - 1]) < _GROUP_MIN:
                break
            yield "".join(groups[i:j])


def _is_card_number(digits: str) -> bool:
    if not (13 <= len(digits) <= 19 and digits[0] in "23456"):
        return False
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(digits[::-1])]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def describe_error(error: BaseException) -> str:
    """Return ``Type: text`` of an error; of a decoding error and of a group's members less."""
    kind = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        members = "; ".join(describe_error(member) for member in error.exceptions[:3])
        return printable(f"{kind} of {len(error.exceptions)}: {members}")
    if isinstance(error, msgspec.MsgspecError | UnicodeError | RecursionError):
        return kind
    text = str(error)
    return printable(f"{kind}: {text}" if text else kind)


def where_raised(error: BaseException) -> str:
    """Return the innermost frames of an error, innermost first: ``actor.py:96 run < ...``."""
    frames = traceback.extract_tb(error.__traceback__)[: -_FRAMES_MAX - 1 : -1]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)


def frames_of(error: BaseException) -> tuple[str, ...]:
    """Return where an error came through, outermost first: ``runtime/actor.py:96 run``.

    No line of code, no value: a traceback that may be shown to whoever looks after the system.
    """
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_KEPT:]
    return tuple(f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in frames)
