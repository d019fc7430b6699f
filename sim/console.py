"""What a sweep prints while it goes on and when it is over: lines for a log, a bar for a person.

Progress goes to standard error, verdicts to standard output. Lines are only ever appended, and at
most 100 columns wide but for what is made to be copied.
"""

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from sim.sweep import Tally

EVERY_S = 10.0


def thousands(number: float) -> str:
    """Return a count as people read it."""
    return f"{number:,.0f}".replace(",", " ")


def hours(seconds: float) -> str:
    """Return virtual time as people read it."""
    return f"{seconds / 3600:.1f}h" if seconds >= 3600 else f"{seconds:.0f}s"


def wrapped(head: str, words: Sequence[str], width: int = 98) -> list[str]:
    """Return ``head`` and the words in lines, the later ones indented."""
    lines, line = [], head
    for word in words:
        if len(line) + 2 + len(word) > width and line.strip():
            lines.append(line.rstrip())
            line = " " * len(head)
        line += f"{word}  "
    return [*lines, line.rstrip()]


class Live:
    """Shows how far a sweep is: a bar on a terminal, else a line every ten seconds."""

    def __init__(self, total: int, *, bar: bool, color: bool, quiet: bool) -> None:
        self._total = total
        self.quiet = quiet
        self._began = self._told = time.monotonic()
        self._told_done = 0
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if bar and not quiet:
            console = Console(stderr=True, no_color=not color, highlight=False)
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                console=console,
                auto_refresh=False,
                transient=True,
            )
            self._task = self._progress.add_task("sim", total=total, told="")
            self._progress.start()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the start."""
        return time.monotonic() - self._began

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._progress is not None:
            self._progress.console.print(line, markup=False, soft_wrap=True)
        else:
            sys.stderr.write(line + "\n")

    def show(self, tally: Tally) -> None:
        """Show the sums as they are now."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=tally.done, told=self._figures(tally))
            self._progress.refresh()
        elif not self.quiet and self._due(tally.done):
            self._told, self._told_done = time.monotonic(), tally.done
            self.say(f"{tally.done}/{self._total}  {self._figures(tally)}")

    def _due(self, done: int) -> bool:
        """Whether a line is due: soon if there is something new, late if there is not."""
        waited = time.monotonic() - self._told
        return waited > (EVERY_S if done != self._told_done else 6 * EVERY_S)

    def _figures(self, tally: Tally) -> str:
        rate = tally.done / max(self.seconds, 0.001)
        hit = sum(count > 0 for count in tally.probes.values())
        failed = f"  failed {len(tally.failures)}" if tally.failures else ""
        return (
            f"{rate:.1f} seeds/s  faults {thousands(sum(tally.fired.values()))}  "
            f"probes {hit}/{len(tally.probes)}{failed}"
        )

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
