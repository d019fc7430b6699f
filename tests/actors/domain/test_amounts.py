import doctest

import pytest

from actors.domain import amounts
from actors.domain.amounts import amount_text
from actors.domain.values import Money


def test_its_examples_are_true() -> None:
    assert doctest.testmod(amounts) == doctest.TestResults(0, 3)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(0, "EUR"), "0.00 EUR"),
        (Money(0, "JPY"), "0 JPY"),
        (Money(1, "KWD"), "0.001 KWD"),
        (Money(100_000_00, "USD"), "100\xa0000.00 USD"),
        (Money(12345, "CLF"), "1.2345 CLF"),
    ],
)
def test_the_point_stands_where_the_currency_has_it(money: Money, text: str) -> None:
    assert amount_text(money) == text
