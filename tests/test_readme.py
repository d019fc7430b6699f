"""The README is true: its tables are the code's, its shell lines run."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from actors.domain.events import EVENT_TYPES
from actors.domain.rules import GUARDS
from tests.harness.command import up

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rules_table() -> str:
    """The table of the rules, as the README shows it."""
    rows = [
        "| event | stated by | published as | needs | refused after |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, guard in GUARDS.items():
        row = EVENT_TYPES[name]
        key = f"`{row.routing_key}`" if row.exchange else ""
        needs, refused = ", ".join(guard.needs), ", ".join(guard.blocked_by)
        rows.append(f"| `{name}` | {row.app_id} | {key} | {needs} | {refused} |")
    return "\n".join(rows)


def test_the_rules_table_is_the_code_s() -> None:
    shown = re.search(r"<!-- rules: .*? -->\n(.*?)\n<!-- end of rules -->", README, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == rules_table()


def test_every_path_it_names_exists() -> None:
    named = re.findall(r"`((?:runtime|actors|sim|bench|tests)/[\w/.]*)`", README)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_curl_lines_place_pay_and_ship_an_order(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    section = README.partition("## One order, with curl")[2]
    script = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert script is not None
    with up(tmp_path) as (_, url):
        done = subprocess.run(
            ["bash", "-c", script.group(1).replace("http://127.0.0.1:8080", url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        # The mail follows the answer: it is on its way when the last line runs.
        mails = tmp_path / "data" / "mail" / "new"
        limit = time.monotonic() + 30
        while len(list(mails.glob("[!.]*"))) < 2 and time.monotonic() < limit:
            time.sleep(0.02)
        assert len(list(mails.glob("[!.]*"))) == 2
    stream, _, rest = done.stdout.partition('"status":"shipped"')
    assert "shipping-prepared/v1" in stream
    assert '"status":"shipped"' in rest
