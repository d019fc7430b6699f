"""How large a sweep is where the command line does not say."""

from collections.abc import Mapping
from typing import Literal

import msgspec

ProfileName = Literal["dev", "ci", "nightly"]


class Profile(msgspec.Struct, frozen=True):
    """``seeds`` over all scenarios; ``base``: git or random; ``sample``: share run twice."""

    seeds: int
    base: str
    sample: float
    require_reached: bool


PROFILES: Mapping[ProfileName, Profile] = {
    "dev": Profile(seeds=200, base="git", sample=0.05, require_reached=False),
    "ci": Profile(seeds=200, base="git", sample=0.05, require_reached=False),
    "nightly": Profile(seeds=20_000, base="random", sample=0.02, require_reached=True),
}
