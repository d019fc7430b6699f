"""The README is true: its tables are the code's, its shell lines run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import runtime.broker
from actors.domain.events import EVENT_TYPES
from actors.domain.rules import GUARDS
from bench.ports import free_port
from tests.harness.command import environment, up
from tests.harness.rabbitmq import RabbitMQ

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


def script(heading: str, having: str) -> str:
    """Return the shell lines under this heading that hold this text."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (found,) = [s for s in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if having in s]
    return found


def test_the_curl_lines_place_pay_and_ship_an_order(tmp_path: Path) -> None:
    lines = script("One order, with curl", "curl")
    with up(tmp_path) as (_, url):
        done = subprocess.run(
            ["bash", "-c", lines.replace("http://127.0.0.1:8080", url)],
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


def test_the_lines_for_separate_services_keep_them_running(
    tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    lines = script("Run it as separate services", "keep()")
    variables = {"ORDERMILL_PAYMENT_HOLD_S": "0", "ORDERMILL_SHIPPING_HOLD_S": "0"}
    for number, name in enumerate(("HTTP", "ORDER_EVENTS", "PAYMENT", "SHIPPING", "NOTIFICATION")):
        port = str(free_port())
        variables[f"ORDERMILL_{name}_PORT"] = port
        lines = lines.replace(f"127.0.0.1:{8080 + number}", f"127.0.0.1:{port}")
    lines = lines.replace("ordermill order", f"ordermill --url {url_of(variables)} order")
    (tmp_path / "broker-url").write_text(f"{rabbitmq.url}{rabbitmq.vhost()}")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    with (tmp_path / "output").open("w+") as output:
        # A group of its own: whatever is left of it, should a line fail, goes with it.
        shell = subprocess.Popen(
            ["bash", "-ec", lines],
            cwd=tmp_path,
            env=environment(**variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            ended = shell.wait(120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        told = (tmp_path / "output").read_text()
    assert ended == 0, told
    assert told.count("shipping-prepared/v1") == 2
    assert '"broker":"ok"' in told
    assert (tmp_path / "payment.log").read_text().count("ready in") == 2
    for log in tmp_path.glob("*.log"):
        assert "Traceback" not in log.read_text(), log.read_text()


def url_of(variables: dict[str, str]) -> str:
    """Return where the gateway is."""
    return f"http://127.0.0.1:{variables['ORDERMILL_HTTP_PORT']}"


def test_the_differences_to_rabbitmq_are_those_that_the_broker_lists() -> None:
    assert runtime.broker.__doc__ is not None
    _, heading, listed = runtime.broker.__doc__.partition("a test compares):\n\n")
    assert heading
    assert listed in README
