"""Verdicts for machines: JUnit's XML, and the lines that GitHub shows beside a commit."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from sim.outcome import Outcome

_CONTROL = {code: None for code in range(32) if code not in (9, 10, 13)}


def junit(outcomes: Sequence[Outcome], passed: dict[str, int]) -> str:
    """Return one test case for each failure, and one for all runs of a scenario that passed."""
    failures = [one for one in outcomes if not one.passed]
    cases = [_failure(one) for one in failures]
    cases += [
        f'  <testcase classname="ordermill.sim" name={quoteattr(f"{name}: {count} seeds passed")}/>'
        for name, count in passed.items()
        if count
    ]
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<testsuite name="ordermill sim" tests="{len(cases)}" failures="{len(failures)}">\n'
        + "\n".join(cases)
        + "\n</testsuite>\n"
    )


def _failure(outcome: Outcome) -> str:
    first = outcome.violations[0]
    told = "\n".join(f"{found.name}: {found.text}" for found in outcome.violations)
    text = f"{told}\nreplay: {outcome.again}".translate(_CONTROL)
    message = f"{first.name}: {first.text}".translate(_CONTROL)
    return (
        f'  <testcase classname="ordermill.sim" name={quoteattr(outcome.name)}'
        f' time="{outcome.cpu_s:.3f}">\n'
        f"    <failure type={quoteattr(first.name)} message={quoteattr(message[:300])}>"
        f"{escape(text)}</failure>\n  </testcase>"
    )


def github(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for each failure (see GitHub's workflow commands)."""
    for one in outcomes:
        if not one.passed:
            first = one.violations[0]
            text = f"{first.name} {one.name}: {first.text}  replay: {one.again}"
            yield f"::error title={_property(f'sim {one.scenario}')}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
