"""``up --reload`` and ``up --open``: what starts it again, and what opens the shop."""

import os
import signal
import sys
import time
from pathlib import Path

import httpx

from actors.commands.reloading import Watch
from bench.ports import free_port
from tests.harness.command import FREE_PORTS, PATIENCE_S, serving
from tests.harness.system import order_body


def touch(path: Path, text: str) -> None:
    path.write_text(text)
    at = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(at, at))


def test_a_change_is_told_once_and_not_before_all_of_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    one, two = tmp_path / "one.py", tmp_path / "below" / "two.html"
    config = tmp_path / "some.toml"
    touch(one, "a = 1")
    watch = Watch([tmp_path], [config])
    assert [watch.changed(), watch.changed()] == [None, None]
    touch(two, "<p>")
    assert watch.changed() is None, "the change may be half written"
    touch(one, "a = 2")
    assert watch.changed() is None
    assert watch.changed() in (one, two)
    assert [watch.changed(), watch.changed()] == [None, None]
    (tmp_path / "notes.md").write_text("not a source")
    config.write_text("[http]\n")
    assert [watch.changed(), watch.changed()] == [None, config]
    two.unlink()
    assert [watch.changed(), watch.changed()] == [None, two]
    touch(one, "a = 3")
    assert watch.changed() is None
    touch(one, "a = 2")
    two.touch()
    assert watch.changed() is None
    assert watch.changed() is not None


def test_it_starts_again_and_loses_nothing(tmp_path: Path) -> None:
    config = tmp_path / "ordermill.toml"
    port = free_port()
    config.write_text(f"[http]\nport = {port}\n")
    ports = FREE_PORTS[2:]
    with serving(*ports, "up", "--reload", cwd=tmp_path) as command:
        url = command.wait_for("ready in").split()[-1]
        assert url == f"http://127.0.0.1:{port}"
        placed = httpx.post(f"{url}/v1/orders", json=order_body()).json()
        touch(config, f"[http]\nport = {port}\nnonsense = 1\n")
        assert "ordermill.toml has changed" in command.wait_for("starting again")
        command.wait_for("waiting for a change")
        assert "exit code 2" in command.output
        before = command.output
        touch(config, f"[http]\nport = {port}\n[payment]\nhold_s = 0\n")
        command.wait_for("ready in", after=len(before))
        access = {"authorization": f"Bearer {placed['access_token']}"}
        path = f"{url}/v1/orders/{placed['id']}"
        assert httpx.get(path, headers=access).json()["id"] == placed["id"]
        command.signal(signal.SIGINT)
        assert command.ended() == 130
    assert "Traceback" not in command.output


def test_the_shop_is_opened_in_the_browser_that_is_named(tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f"#!{sys.executable}\nimport pathlib, sys\n"
                       f"pathlib.Path({str(opened)!r}).write_text(sys.argv[1])\n")  # fmt: skip
    browser.chmod(0o700)
    named = f"{browser} %s"
    with serving(*FREE_PORTS, "up", "--open", cwd=tmp_path, BROWSER=named) as command:
        url = command.wait_for("ready in").split()[-1]
        limit = time.monotonic() + PATIENCE_S
        while not (opened.exists() and opened.read_text()) and time.monotonic() < limit:
            time.sleep(0.02)
        assert opened.read_text() == f"{url}/"
        assert command.runs()


def test_where_no_browser_is_the_address_is_said(tmp_path: Path) -> None:
    none = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with serving(*FREE_PORTS, "up", "--open", cwd=tmp_path, **none) as command:
        url = command.wait_for("ready in").split()[-1]
        assert url in command.wait_for("no browser to open here")
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
