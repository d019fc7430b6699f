"""Values that validate themselves: whoever holds one never checks it again.

Every text is Unicode NFC, stripped, and free of control, zero-width, bidirectional and unassigned
characters (UTS #39); a free text that contains a payment card number is refused, so that no card
number can slip into a store through the wrong field. Lengths count code points. Money is an integer
in minor units: no floats, no decimals on the wire.
"""

import math
import re
import unicodedata
from typing import Annotated

import msgspec
import msgspec.inspect

_DIGIT_RUN = re.compile(r"\d(?:[\s._/\u2010-\u2015-]*\d){12,}")
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_COUNTRIES = frozenset(
    re.findall(
        "..",
        "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCI"
        "CKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQ"
        "GRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLS"
        "LTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPG"
        "PHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTK"
        "TLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW",
    )
)


def luhn_valid(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B).

    >>> luhn_valid("4242424242424242"), luhn_valid("4242424242424241")
    (True, False)
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether 13 to 19 digits in the text look like a card number, whatever separates them.

    >>> holds_card_number("leave at no. 4242-4242 4242 4242"), holds_card_number("call 0301234567")
    (True, False)
    """
    runs = (re.sub(r"\D", "", run.group()) for run in _DIGIT_RUN.finditer(text))
    return any(
        luhn_valid(run[start : start + size])
        for run in runs
        for size in range(13, min(len(run), 19) + 1)
        for start in range(len(run) - size + 1)
    )


# The first digits of Visa, Mastercard, American Express, Discover and JCB (ISO/IEC 7812-1).
_ISSUED = re.compile("4[0-9]{12}(?:[0-9]{3})?|(?:5[1-5]|2[2-7]|6[05]|35)[0-9]{14}|3[47][0-9]{13}")


def is_issued_card_number(digits: str) -> bool:
    """Whether these digits are a card number by their beginning, too.

    For what has many digits of its own, such as a tracking number or a time: a tenth of those pass
    for card numbers by their check digit alone.

    >>> is_issued_card_number("4242424242424242"), is_issued_card_number("20261126143910")
    (True, False)
    """
    return _ISSUED.fullmatch(digits) is not None and luhn_valid(digits)


def refuse_issued_card_number(name: str, text: str) -> None:
    """Raise ValueError naming the field where the text holds such a number."""
    runs = (re.sub(r"\D", "", run.group()) for run in _DIGIT_RUN.finditer(text))
    if any(map(is_issued_card_number, runs)):
        raise ValueError(f"`{name}` must not hold a payment card number")


def tidy_text(name: str, text: str) -> str:
    """Return the text in NFC, stripped; ValueError naming the field where it may not be stored."""
    tidied = unicodedata.normalize("NFC", text).strip()
    if text and not tidied:
        raise ValueError(f"`{name}` must not be blank")
    if not (tidied.isprintable() or all(map(_is_visible, tidied))):
        raise ValueError(f"`{name}` must not hold control, zero-width or bidirectional characters")
    return tidied


def tidy_free_text(name: str, text: str) -> str:
    """Do `tidy_text`; ValueError, too, where people could have typed a payment card number."""
    tidied = tidy_text(name, text)
    if holds_card_number(tidied):
        raise ValueError(f"`{name}` must not hold a payment card number")
    return tidied


def _plainly_tidy(text: str) -> bool:
    """Whether `tidy_free_text` would return it as it is, seen without doing all that."""
    plain = text.isascii() and text.isprintable() and text == text.strip()
    return plain and not _DIGIT_RUN.search(text)


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


class TidyText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of structs whose text fields are tidied when they are decoded.

    Decoding what was encoded gives an equal value: lengths are checked again after NFC, which
    makes some texts longer (Unicode's composition exclusions, such as U+0958).
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str) and not _plainly_tidy(value):
                tidied = tidy_free_text(name, value)
                if len(tidied) > len(value) and len(tidied) > _length_max(type(self), name):
                    raise ValueError(f"`{name}` is too long in Unicode's composed form")
                msgspec.structs.force_setattr(self, name, tidied)


def _length_max(struct: type[TidyText], name: str) -> float:
    described = msgspec.inspect.type_info(struct)
    assert isinstance(described, msgspec.inspect.StructType), "a struct describes itself as one"
    field = next(field.type for field in described.fields if field.name == name)
    choices = field.types if isinstance(field, msgspec.inspect.UnionType) else (field,)
    return next(
        choice.max_length if choice.max_length is not None else math.inf
        for choice in choices
        if isinstance(choice, msgspec.inspect.StrType)
    )


Amount = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
# Python's `$` also matches before a final line feed; the look-ahead forbids it, in JSON Schema too.
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
Sku = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$(?!\n)")]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=99)]


class Money(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An amount in minor units (cents) of an ISO 4217 currency."""

    amount: Amount
    currency: Currency


class Customer(TidyText, frozen=True):
    """Who ordered: a name and exactly one e-mail address."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=254)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _EMAIL.fullmatch(self.email):
            raise ValueError("`email` must be exactly one e-mail address")


class Address(TidyText, frozen=True):
    """A postal address; ``country`` is an ISO 3166-1 alpha-2 code."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    line1: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    city: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    postal_code: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
    line2: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    region: Annotated[str, msgspec.Meta(max_length=80)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.country not in _COUNTRIES:
            raise ValueError("`country` must be an ISO 3166-1 alpha-2 code such as DE")


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of an order: what, how many, at what price each."""

    sku: Sku
    name: str
    quantity: Quantity
    unit_price: Money


class PaymentMethod(msgspec.Struct, frozen=True, gc=False):
    """What events and messages may say of a card: a vault reference, the brand, the last four."""

    ref: str
    brand: str
    last4: str


def total_of(items: tuple[Line, ...]) -> Money:
    """Return the sum of the lines; they share one currency."""
    currency = items[0].unit_price.currency
    assert all(line.unit_price.currency == currency for line in items), "mixed currencies"
    return Money(sum(line.quantity * line.unit_price.amount for line in items), currency)
