"""An order's story by what it is about, for whoever looks after one part of it."""

from collections.abc import Sequence

import msgspec

from actors.gateway.pages.story import Entry

CHAPTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Order", ("order-created", "order-cancelled")),
    ("Edits", ("payment-updated", "shipping-address-updated")),
    (
        "Payment",
        (
            "payment-auth-in-progress",
            "payment-captured",
            "payment-auth-failed",
            "payment-refund-in-progress",
            "payment-refunded",
        ),
    ),
    ("Shipping", ("shipping-preparation-in-progress", "shipping-prepared", "shipped")),
)
OTHER = "Other"


class Chapter(msgspec.Struct, frozen=True):
    """What happened of one kind, in the order of the entries."""

    name: str
    entries: list[Entry]


def chapters(entries: Sequence[Entry]) -> list[Chapter]:
    """Return the entries by what they are about; none is left out, and no chapter is empty."""
    about = {type_: name for name, types in CHAPTERS for type_ in types}
    found = [
        Chapter(name, [row for row in entries if about.get(row.event.type.name, OTHER) == name])
        for name in (*(name for name, _ in CHAPTERS), OTHER)
    ]
    return [chapter for chapter in found if chapter.entries]
