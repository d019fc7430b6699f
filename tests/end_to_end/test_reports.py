"""The reports of the simulator and of the benchmarks, in a real browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from bench.page import page as bench_page
from bench.results import load_results
from bench.targets import judge
from sim.outcome import Task
from sim.provenance import provenance
from sim.report.files import write_run
from sim.report.index import write_index
from tests.harness.chromium import assert_sound, chromium, visit
from tests.sim.report.test_page import failing
from tests.sim.report.test_staging import recorded

pytestmark = pytest.mark.browser

RESULTS = Path(__file__).parents[2] / "bench" / "results"


@pytest.fixture(scope="module")
async def browser(chromium_is_installed: None) -> AsyncIterator[Browser]:
    """A running browser."""
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of report. (Simulating needs a loop of its own, so no test does.)"""
    folder = tmp_path_factory.mktemp("reports")
    task = Task("everything", 3, plan=recorded().result.plan)
    write_run(folder / "passed", task, recorded(), provenance())
    write_run(folder / "failed", task, failing(recorded()), provenance())
    write_index(folder)
    results = load_results(RESULTS / "bench.json")
    judged = judge(results, list(results.cases))
    text = bench_page(results, judged, sorted(RESULTS.glob("*.svg")))
    (folder / "bench.html").write_text(text)
    return folder


async def test_a_report_is_accessible_and_as_wide_as_its_window(
    browser: Browser, reports: Path
) -> None:
    async with visit(browser, reports.as_uri()) as page:
        for name in ("passed/report.html", "failed/report.html", "index.html", "bench.html"):
            await page.goto(f"{reports.as_uri()}/{name}")
            await assert_sound(page, name, by_finger=False)
