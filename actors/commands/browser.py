"""Opening the shop in a browser, where there is one that does not take the terminal."""

import subprocess
import sys
import webbrowser
from collections.abc import Mapping

from actors.commands.saying import say

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_WINDOWED = ("darwin", "win32")


def open_browser(url: str, environment: Mapping[str, str]) -> None:
    """Open ``url`` in the browser that BROWSER names, or in the desktop's; say so where none is.

    It is a process of its own, and nobody waits for it.
    """
    if not _has_browser(environment):
        say(f"no browser to open here (no display, BROWSER is not set): {url}", err=True)
        return
    subprocess.Popen(  # noqa: S603 - ourselves, to open our own address
        [sys.executable, "-P", "-m", "webbrowser", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _has_browser(environment: Mapping[str, str]) -> bool:
    # Without a display, what is left are browsers that run in the terminal, which is ours.
    shown = sys.platform in _WINDOWED or any(environment.get(name) for name in _DISPLAYS)
    if not shown and not environment.get("BROWSER"):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
