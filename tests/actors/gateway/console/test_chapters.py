"""An order's story by what it is about."""

from collections import Counter

from actors.domain.events import EVENT_TYPES
from actors.gateway.console.chapters import CHAPTERS


def test_every_type_of_event_is_in_one_chapter() -> None:
    assert Counter(name for _, types in CHAPTERS for name in types) == Counter([*EVENT_TYPES])
