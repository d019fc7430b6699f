"""A postal address as a form, and the countries to choose from."""

from actors.domain.values import Address, holds_card_number
from actors.gateway.pages.forms import Form, convert

LABELS = {
    "name": "Full name",
    "line1": "Street and number",
    "line2": "Apartment, floor",
    "postal_code": "Postal code",
    "city": "City",
    "region": "State or region",
    "country": "Country",
}
COUNTRIES = (
    ("AT", "Austria"),
    ("BE", "Belgium"),
    ("BG", "Bulgaria"),
    ("HR", "Croatia"),
    ("CY", "Cyprus"),
    ("CZ", "Czechia"),
    ("DK", "Denmark"),
    ("EE", "Estonia"),
    ("FI", "Finland"),
    ("FR", "France"),
    ("DE", "Germany"),
    ("GR", "Greece"),
    ("HU", "Hungary"),
    ("IE", "Ireland"),
    ("IT", "Italy"),
    ("LV", "Latvia"),
    ("LT", "Lithuania"),
    ("LU", "Luxembourg"),
    ("MT", "Malta"),
    ("NL", "Netherlands"),
    ("NO", "Norway"),
    ("PL", "Poland"),
    ("PT", "Portugal"),
    ("RO", "Romania"),
    ("SK", "Slovakia"),
    ("SI", "Slovenia"),
    ("ES", "Spain"),
    ("SE", "Sweden"),
    ("CH", "Switzerland"),
    ("GB", "United Kingdom"),
    ("US", "United States"),
)
_NAMES = dict(COUNTRIES)
_VALID = {
    "name": "A",
    "line1": "1",
    "line2": "1",
    "postal_code": "1",
    "city": "C",
    "region": "R",
    "country": "DE",
}
_EMPTY = {
    "name": "Enter the name on the door.",
    "line1": "Enter street and number.",
    "postal_code": "Enter the postal code.",
    "city": "Enter the city.",
    "country": "Choose a country.",
}


def read_address(form: Form) -> tuple[Address | None, dict[str, str]]:
    """Return the address, or what is wrong with which field."""
    return convert({name: form.text(name) for name in LABELS}, Address, _VALID, _EMPTY)


def values_of(address: Address | None) -> dict[str, str]:
    """Return the fields that show this address; a fresh form where there is none."""
    if address is None:
        return {"country": "DE"}
    return {name: getattr(address, name) or "" for name in LABELS}


def kept(form: Form, *names: str) -> dict[str, str]:
    """Return these fields as they were typed, to show them again; never a card's number."""
    typed = {name: form.text(name) for name in names}
    return {name: "" if holds_card_number(text) else text for name, text in typed.items()}


def countries_for(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the choices: those that we name, and the one that was chosen some other way."""
    code = values.get("country", "")
    return COUNTRIES if not code or code in _NAMES else (*COUNTRIES, (code, code))


def country_name(code: str) -> str:
    """Return what people call the country."""
    return _NAMES.get(code, code)
