"""A run's name: ``scenario:seed[:plan-hash]``, in lines that are made to be copied.

Scenario and seed draw a plan. The hash says which plan it was: where this code draws another one
(it has changed, or the plan was shrunk), the plan itself is needed, and is looked for among the
reports and in the corpus.
"""

import re

import msgspec

from runtime.errors import ConfigurationError

SEED_MAX = 2**160 - 1
_FORM = re.compile(r"(?P<scenario>[a-z0-9-]+):(?P<seed>\w+)(:(?P<hash>[0-9a-f]{4,8}))?")


class Token(msgspec.Struct, frozen=True):
    """``plan`` is the beginning of the plan's hash, empty where none was given."""

    scenario: str
    seed: int
    plan: str = ""

    def __str__(self) -> str:
        tail = f":{self.plan}" if self.plan else ""
        return f"{self.scenario}:{seed_text(self.seed)}{tail}"


def parse_token(text: str) -> Token:
    """Read a token; `ConfigurationError` where it is none."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(
            f"{text!r} is no run: expected SCENARIO:SEED or SCENARIO:SEED:PLAN-HASH, or a folder",
            hint="ordermill sim list names the scenarios",
        )
    return Token(match["scenario"], parse_seed(match["seed"]), match["hash"] or "")


def parse_seed(text: str) -> int:
    """Read a seed: decimal, 0x..., or the hex letters of a commit.

    >>> parse_seed("42"), parse_seed("0x2a"), parse_seed("1f3c9ab")
    (42, 42, 32754091)
    """
    try:
        seed = int(text, 10 if text.isdecimal() else 16)
    except ValueError:
        seed = -1
    if not 0 <= seed <= SEED_MAX:
        raise ConfigurationError(f"{text!r} is no seed: expected a number, 0x..., or a commit hash")
    return seed


def seed_text(seed: int) -> str:
    """Return a seed as we print it."""
    return f"{seed:#x}"
