"""Money as people read it: the one place that knows where a currency's decimal point stands."""

from actors.domain.values import Money

# ISO 4217, "minor unit" of the active currencies that do not have two digits of it.
_WITHOUT = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
_WITH_THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_DIGITS = {
    **dict.fromkeys(_WITHOUT, 0),
    **dict.fromkeys(_WITH_THREE, 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_DIGITS_USUAL = 2


def amount_text(money: Money) -> str:
    """Return an amount with its currency's code; thousands are parted by a no-break space.

    >>> amount_text(Money(4890, "EUR")), amount_text(Money(5, "EUR"))
    ('48.90 EUR', '0.05 EUR')
    >>> amount_text(Money(500, "JPY"))
    '500 JPY'
    >>> amount_text(Money(123456789, "KWD"))
    '123\\xa0456.789 KWD'
    """
    digits = _DIGITS.get(money.currency, _DIGITS_USUAL)
    whole, minor = divmod(money.amount, 10**digits)
    point = f".{minor:0{digits}d}" if digits else ""
    grouped = f"{whole:,}".replace(",", "\xa0")
    return f"{grouped}{point} {money.currency}"
