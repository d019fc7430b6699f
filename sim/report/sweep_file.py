"""``sweep.json``: the sums over the last sweep, for the ledger of probes and the index of runs."""

from pathlib import Path
from typing import Literal

import msgspec

from runtime.errors import ConfigurationError
from sim.provenance import Provenance
from sim.sweep import Row, Tally

NAME = "sweep.json"


class SweepFile(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep. ``planned`` runs were to be done; ``base`` names where its seeds came from."""

    schema: Literal["ordermill.sim.sweep/v1"] = "ordermill.sim.sweep/v1"
    provenance: Provenance
    base: str
    planned: int
    seconds: float
    virtual_s: float
    cpu_s: float
    same_again: int
    parted: int
    cases: dict[str, int]
    probes: dict[str, int]
    fired: dict[str, int]
    missed: dict[str, int]
    effects: dict[str, int]
    after_heal: dict[str, float] = {}
    rows: list[Row]


def write_sweep(folder: Path, sweep: SweepFile) -> None:
    """Write it into the reports' folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_bytes(msgspec.json.encode(sweep) + b"\n")


def read_sweep(folder: Path) -> SweepFile | None:
    """Read it; None where there is none."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=SweepFile)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path}: {error}", hint="ordermill sim run makes it") from error


def sweep_file(
    tally: Tally, provenance: Provenance, base: str, planned: int, seconds: float
) -> SweepFile:
    """Return a sweep's sums as they are written."""
    return SweepFile(
        provenance=provenance,
        base=base,
        planned=planned,
        seconds=seconds,
        virtual_s=tally.virtual_s,
        cpu_s=tally.cpu_s,
        same_again=tally.same_again,
        parted=len(tally.parted),
        cases=dict(tally.cases),
        probes=dict(tally.probes),
        fired=dict(tally.fired),
        missed=dict(tally.missed),
        effects=dict(tally.effects),
        after_heal=tally.after_heal,
        rows=tally.rows,
    )
