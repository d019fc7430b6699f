"""The results of a run: every sample, on which machine, and how they are kept (JSON)."""

from pathlib import Path

import msgspec

from bench.case import Case, Role
from bench.machine import Machine
from bench.sample import Sample, figures, spread
from runtime.errors import ConfigurationError

SCHEMA = "ordermill.bench/v1"


class ContenderResult(msgspec.Struct, frozen=True, kw_only=True):
    """Who took part, and the sample of each round."""

    role: Role
    how: str
    guarantees: str
    samples: list[Sample]


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """One case: its contenders by name, in the order in which they took turns."""

    title: str
    operation: str
    contenders: dict[str, ContenderResult]

    def samples(self, contender: str) -> list[Sample]:
        """Return the samples of one contender; empty where it did not take part."""
        found = self.contenders.get(contender)
        return [] if found is None else found.samples


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run of several cases. ``at`` is its date and time (RFC 3339), ``commit`` the code's."""

    schema: str = SCHEMA
    at: str
    commit: str
    machine: Machine
    cases: dict[str, CaseResult]

    def samples(self, case: str, contender: str) -> list[Sample]:
        """Return the samples of one contender in one case; empty where there are none."""
        found = self.cases.get(case)
        return [] if found is None else found.samples(contender)


def result_of(case: Case, samples: dict[str, list[Sample]]) -> CaseResult:
    """Return the case's result from its samples by contender."""
    return CaseResult(
        title=case.title,
        operation=case.operation,
        contenders={
            name: ContenderResult(
                role=case.contender(name).role,
                how=case.contender(name).how,
                guarantees=case.contender(name).guarantees,
                samples=found,
            )
            for name, found in samples.items()
        },
    )


def line_of(operation: str, samples: list[Sample]) -> list[str]:
    """Return the medians of a contender's samples in words, a line or two."""
    rate, cpu_us, memory = (spread(samples, name) for name in ("rate", "cpu_us", "memory_mib"))
    lines = [
        (
            f"{rate.median:,.0f} {operation}s/s ({rate.low:,.0f} .. {rate.high:,.0f})  "
            f"CPU {_short(cpu_us.median)} us ({_short(cpu_us.low)} .. {_short(cpu_us.high)})  "
            f"peak {memory.median:.0f} MiB"
        )
    ]
    if samples[0].latency is not None:
        p50, p99 = spread(samples, "p50"), spread(samples, "p99")
        lines.append(f"p50 {_short(p50.median)} ms  p99 {_short(p99.median)} ms")
    lines += [f"{name} {_short(found.median)}" for name, found in figures(samples).items()]
    errors = sum(sample.errors for sample in samples)
    if errors:
        lines.append(f"{errors} errors")
    return lines


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def save(results: Results, path: Path) -> None:
    """Write the results as JSON that people can read and `git diff` can show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def load_results(path: Path) -> Results:
    """Read what `save` wrote; `ConfigurationError` for a file that is not that."""
    try:
        results = msgspec.json.decode(path.read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as results of a benchmark",
            hint="write one with: ordermill bench run --save FILE",
        ) from error
    if results.schema != SCHEMA:
        raise ConfigurationError(f"{path} has the schema {results.schema}, not {SCHEMA}")
    return results


def merged(older: Results, newer: Results) -> Results:
    """Return both, the newer where both have a case; date, commit and machine are the newer's."""
    return msgspec.structs.replace(newer, cases={**older.cases, **newer.cases})
