"""A real browser: Debian's Chromium, headless, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

PATIENCE_MS = 30_000
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
NARROW = {"width": 320, "height": 640}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FINGER_PX = 44
"""A finger needs this much height; Apple's guidelines and WCAG 2.5.5 say so."""
NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Return the path of the browser, or None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a browser until the block ends."""
    # In a container there is often no user namespace to build the sandbox from; it only ever
    # sees pages of ours.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:
    """Open a window on the site at ``url``, with cookies of its own.

    The test fails where the page logs an error, asks anybody else for anything, or breaks its own
    Content-Security-Policy.
    """
    context = await browser.new_context(base_url=url, **{"viewport": DESK, **options})
    context.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    watch(context, url, complaints)
    page = await context.new_page()
    try:
        yield page
    finally:
        await context.close()
    assert complaints == []


def watch(context: BrowserContext, url: str, complaints: list[str]) -> None:
    """Note what no page of ours may do."""

    def asked(request: Any) -> None:
        if not request.url.startswith((f"{url}/", "data:")):
            complaints.append(f"asked {request.url}")

    def said(message: Any) -> None:
        # An answer of 4xx or 5xx, or none, is logged as an error: tests bring those about.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    context.on("request", asked)
    context.on("console", said)
    context.on("weberror", lambda error: complaints.append(str(error.error)))


async def axe_violations(page: Page) -> list[str]:
    """Return the serious violations of WCAG that axe-core finds on the page."""
    # A document keeps it: compiling half a megabyte costs as much as looking at the page.
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(AXE_SCRIPT)
    found = await page.evaluate(_VIOLATIONS)
    return [
        f"{row['id']} on {node['target']}: {node['failureSummary']}"
        for row in found
        if row["impact"] in ("serious", "critical")
        for node in row["nodes"]
    ]


async def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    width: int = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(width, 0)


async def small_targets(page: Page) -> list[str]:
    """Return what is too low for a finger; links within a sentence have the lines' own height."""
    found: list[str] = await page.evaluate(_SMALL, FINGER_PX)
    return found


async def assert_sound(page: Page, where: str, *, by_finger: bool = True) -> None:
    """Fail where somebody could not use the page: in any light, by finger, with or without eyes.

    The page is looked at in each colour scheme at each width. ``by_finger``: everything that can
    be hit is high enough; a chart's marks cannot be.
    """
    for scheme, size in product(SCHEMES, (NARROW, PHONE, DESK)):
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size(size)
        found = [f"too wide by {pixels} px"] if (pixels := await overflow(page)) else []
        if size is not NARROW:
            found += await axe_violations(page)
        if size is PHONE and by_finger:
            found += await small_targets(page)
        at = f"{size['width']} px in the {scheme}"
        assert not found, f"{where} at {at}: {found[:5]} of {len(found)}"


_VIOLATIONS = """async () => {
  const { violations } = await axe.run({ resultTypes: ["violations"] });
  return violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(
    ({ target, failureSummary }) => ({ target, failureSummary })) }));
}"""
_SMALL = """(least) => [...document.querySelectorAll("a[href], button, input, select, summary")]
  .map((element) => element.closest("label:is(.chip, .tick *)") ?? element)
  .filter((element) => {
    const { width, height } = element.getBoundingClientRect();
    const shown = element.checkVisibility({ visibilityProperty: true }) && width > 1 && height > 1;
    const inline = getComputedStyle(element).display === "inline";
    return shown && !inline && !element.matches(".skip") && height < least - 0.5;
  })
  .map((element) => `${element.outerHTML.slice(0, 120)} is ${element.offsetHeight} px high`)"""
