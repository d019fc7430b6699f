"""The figures of a report, drawn by matplotlib as SVG: the same results give the same bytes."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from bench.budget import budget
from bench.results import CaseResult, Results
from bench.sample import Latency, spread
from bench.targets import number

mpl.use("Agg")

from matplotlib import pyplot

COLOURS = {"ours": "#0b6e4f", "limit": "#8d99ae", "rival": "#c8553d"}
PERCENTILES = Latency.__struct_fields__
_STYLE: Any = {
    "svg.hashsalt": "ordermill",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the figures that these results give into the folder; return their paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    with mpl.rc_context(_STYLE):
        for name, plot in _plots(results):
            figure, axes = pyplot.subplots(figsize=(8, 4 if name == "budget" else 3))
            plot(axes)
            path = folder / f"{name}.svg"
            figure.tight_layout()
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            pyplot.close(figure)
            _strip(path)
            paths.append(path)
    return paths


def _plots(results: Results) -> Iterator[tuple[str, Callable[[Axes], None]]]:
    for name, case in results.cases.items():
        if name == "growth":
            yield "growth", partial(_growth, case=case)
        elif name == "budget":
            yield "budget", partial(_budget, case=case)
        elif name != "profile":  # an append is no rival of a message
            yield f"{name}-cpu", partial(_bars, case=case)
            if any(one.samples[0].latency for one in case.contenders.values()):
                yield f"{name}-latency", partial(_latency, case=case)


def _bars(axes: Axes, case: CaseResult) -> None:
    """CPU time of an operation, the median of the rounds, with the least and the most."""
    names = list(case.contenders)
    found = [spread(case.samples(name), "cpu_us") for name in names]
    medians = [one.median for one in found]
    around = [[one.median - one.low for one in found], [one.high - one.median for one in found]]
    colours = [COLOURS[case.contenders[name].role] for name in names]
    bars = axes.barh(names, medians, xerr=around, color=colours, height=0.6)
    axes.bar_label(bars, [number(median) for median in medians], padding=6)
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.set_xlabel(f"CPU time of one {case.operation}, microseconds (less is better)")
    axes.set_title(case.title)


def _latency(axes: Axes, case: CaseResult) -> None:
    for name, contender in case.contenders.items():
        if contender.samples[0].latency is None:
            continue
        values = [spread(contender.samples, percentile).median for percentile in PERCENTILES]
        style = "-" if contender.role == "ours" else "--"
        axes.plot(PERCENTILES, values, style, marker="o", label=name)
    axes.set_yscale("log")
    axes.set_ylabel("milliseconds")
    axes.set_title(f"{case.title}: latency")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))


def _growth(axes: Axes, case: CaseResult) -> None:
    sizes = [name.removeprefix("orders-") for name in case.contenders]
    for metric, label in (("cpu_us", "an order's life"), ("read_cpu_us", "a read")):
        found = [spread(one.samples, metric).median for one in case.contenders.values()]
        axes.plot(sizes, found, marker="o", label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("orders in the store")
    axes.set_ylabel("CPU time, microseconds")
    axes.set_title("What an order costs, by how many there are")
    axes.legend(fontsize=7)


def _budget(axes: Axes, case: CaseResult) -> None:
    (contender,) = case.contenders.values()
    rows = budget(contender.samples)
    costs = [us for _, us, _ in rows]
    bars = axes.barh([stage for stage, _, _ in rows], costs, color=COLOURS["ours"])
    axes.bar_label(bars, [f"{number(us)} ({share:.0%})" for _, us, share in rows], padding=3)
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("microseconds of CPU time")
    axes.set_title(case.title)


def _strip(path: Path) -> None:
    """Take off blanks at the ends of lines, which matplotlib writes and git complains about."""
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")
