import doctest

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import redaction
from runtime.redaction import describe_error, printable, where_raised


@settings(deadline=None)
@given(st.text())
def test_printable_is_one_printable_line_of_bounded_length(text: str) -> None:
    assert printable(text, 50).isprintable()
    assert len(printable("x" + text, 50)) <= 50 * 10


@settings(deadline=None)
@given(st.text(max_size=40), st.integers(13, 19), st.sampled_from(["", " ", "-"]))
def test_a_card_number_is_masked_wherever_it_stands(prefix: str, length: int, gap: str) -> None:
    number = gap.join("4" * length)
    shown = printable(f"{prefix} {number}.")
    assert "4" * 13 not in shown.replace(gap, "") if gap else number not in shown


@settings(deadline=None)
@given(st.integers(0, 100))
def test_a_card_number_is_masked_also_where_the_text_is_cut(digits: int) -> None:
    # A masked run is shorter, so that what was cut in two behind it may come into view.
    assert "49291760" not in printable("4" * digits + ", 4929176003145826", 20)


def test_short_numbers_stay() -> None:
    assert printable("order 123456789012") == "order 123456789012"


def test_a_long_text_is_cut() -> None:
    assert printable("ab" * 50, 10) == "ababababa…"


def test_an_error_without_text_is_its_type() -> None:
    assert describe_error(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_group_shows_its_first_members() -> None:
    group = ExceptionGroup("g", [ValueError(str(n)) for n in range(5)])
    assert (
        describe_error(group) == "ExceptionGroup of 5: ValueError: 0; ValueError: 1; ValueError: 2"
    )


def test_where_names_the_innermost_frame_first() -> None:
    def inner() -> None:
        raise ValueError

    try:
        inner()
    except ValueError as error:
        frames = where_raised(error).split(" < ")
    assert frames[0].startswith("test_redaction.py:")
    assert frames[0].endswith(" inner")
    assert where_raised(ValueError()) == ""


def test_the_examples_hold() -> None:
    assert doctest.testmod(redaction).failed == 0
