"""How large a sweep is where the command line does not say: ``[sim.ci]`` and so on in a file.

``ordermill.toml`` may change any of it, in the tables ``sim.dev``, ``sim.ci`` and ``sim.nightly``;
what it does not say stays as it is here.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.settings import Settings
from runtime.config import load

ProfileName = Literal["dev", "ci", "nightly"]
Share = Annotated[float, Meta(ge=0, le=1)]


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``seeds`` over all scenarios, which follow from ``seed_base`` (git, random, or a number).

    ``check_determinism``: the share of runs that is repeated. ``require_reached``: a probe that is
    not hit is a failure. ``time_budget_s``: then no new run begins (0: no limit).
    """

    seeds: Annotated[int, Meta(ge=1)] = 200
    seed_base: Annotated[str, Meta(min_length=1)] = "git"
    check_determinism: Share = 0.05
    require_reached: bool = False
    orders: Annotated[int, Meta(ge=1, le=1000)] = 20
    intensity: Annotated[float, Meta(ge=0, le=10)] = 1.0
    time_budget_s: Annotated[float, Meta(ge=0)] = 0.0


class Profiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The three sizes: while one works, for each change, and for the night."""

    dev: Profile = Profile()
    ci: Profile = Profile()
    nightly: Profile = Profile(
        seeds=20_000, seed_base="random", check_determinism=0.02, require_reached=True
    )


class _File(msgspec.Struct, frozen=True, kw_only=True):
    sim: Profiles = Profiles()


NAMES = tuple(field.name for field in msgspec.structs.fields(Profiles))
# The tables that are the product's and the benchmarks': who reads those checks them.
_OTHERS = ("bench", *(field.name for field in msgspec.structs.fields(Settings)))


def read_profiles(file: Path | None) -> Profiles:
    """Return the profiles, as ``file`` has them; `ConfigurationError` names what is wrong there."""
    return load(_File, file=file, environment={}, foreign_tables=_OTHERS).settings.sim
