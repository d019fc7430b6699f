"""Nothing that a command prints holds a secret, whatever is wrong with it."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.harness import command
from tests.harness.command import FREE_PORTS, run, up

CANARY = "kanarienvogel"
BROKERS = [
    f"amqp://shop:{CANARY}@127.0.0.1:1/",
    f"amqp://shop:{CANARY}/2@127.0.0.1:1/",
    f"amqp://shop:{CANARY}@127.0.0.1:1/?password={CANARY}",
    f"shop:{CANARY}@127.0.0.1",
]
MANAGEMENT = [
    f"http://looks:{CANARY}@127.0.0.1:1",
    f"http://looks:{CANARY}/2@127.0.0.1:1",
    f"looks:{CANARY}@127.0.0.1",
]
MAILERS = [
    f"smtp://shop:{CANARY}/2@127.0.0.1",
    f"smtp://{CANARY}@127.0.0.1",
    f"smpt://shop:{CANARY}@127.0.0.1",
]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("ORDERMILL_BROKER_URL", url) for url in BROKERS),
        *(("ORDERMILL_BROKER_MANAGEMENT_URL", url) for url in MANAGEMENT),
        *(("ORDERMILL_MAIL_TRANSPORT", url) for url in MAILERS),
        ("ORDERMILL_SECURITY_SECRET", CANARY),
    ],
)
def test_a_start_that_fails_tells_no_secret_also_with_a_traceback(
    tmp_path: Path, variable: str, value: str
) -> None:
    done = run(*FREE_PORTS, "--traceback", "up", cwd=tmp_path, variables={variable: value})
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    plain = run(*FREE_PORTS, "up", cwd=tmp_path, variables={variable: value})
    assert plain.returncode in (2, 3)
    assert "Traceback" not in plain.stderr
    assert CANARY not in plain.stdout + plain.stderr


def test_the_configuration_is_shown_without_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"amqp://shop:{CANARY}@mq.example/orders\n")
    secrets = ("SECRET", "OPERATOR_TOKEN", "VIEWER_TOKEN", "SERVICE_SECRET")
    variables = {
        "ORDERMILL_BROKER_URL_FILE": str(tmp_path / "password"),
        "ORDERMILL_BROKER_MANAGEMENT_URL": f"https://looks:{CANARY}@mq.example:15671",
        "ORDERMILL_MAIL_TRANSPORT": f"smtp://shop:{CANARY}@mail.example",
        **{f"ORDERMILL_SECURITY_{name}": CANARY * 3 for name in secrets},
    }
    for arguments in (("config", "show", "--sources"), ("config", "show", "--format", "json")):
        done = run(*arguments, cwd=tmp_path, variables=variables)
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr
        assert "amqp://shop:***@mq.example/orders" in done.stdout
        assert "smtp://shop:***@mail.example" in done.stdout
        assert "https://looks:***@mq.example:15671" in done.stdout
        assert "ORDERMILL_BROKER_URL_FILE" in done.stdout
    explained = run("config", "explain", "mail.transport", cwd=tmp_path)
    assert "default   maildir" in explained.stdout


BUGS = """
import asyncio
from actors.gateway.reads import Reads

async def forgotten():
    raise ValueError("kanarienvogel")

async def orders(self):
    asyncio.get_running_loop().create_task(forgotten())
    raise ValueError("forged\\n2026-01-01 line \\x1b[2J of 4242 4242 4242 4242")

Reads.orders = orders
from actors.cli import main
main()
"""


def test_a_bug_in_a_handler_is_one_line_that_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MAIN", (sys.executable, "-c", BUGS))
    with up(tmp_path, "log.format=json") as (serving, url):
        token = (tmp_path / "data" / "secrets" / "operator-token").read_text()
        head = {"authorization": f"Bearer {token}"}
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"{url}/v1/orders", headers=head).status_code == 500
        line = serving.wait_for("http.failed")
        serving.signal(command.signal.SIGTERM)
        assert serving.ended() == 0
    assert '"where":"' in line
    assert "orders" in line
    assert "forged\\\\n2026-01-01 line \\\\x1b[2J of [digits]" in line
    assert serving.output.count("forged") == 1
    assert "Traceback" not in serving.output
    assert "\x1b" not in serving.output
    assert token not in serving.output
