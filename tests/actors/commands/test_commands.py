"""The commands that only look, and those that talk to a running system."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from actors.settings import Settings
from runtime.config import describe
from tests.harness.command import FREE_PORTS, run, up


def test_version_names_what_is_installed(tmp_path: Path) -> None:
    shown = json.loads(run("version", "--format", "json", cwd=tmp_path).stdout)
    assert shown["schema"] == "ordermill.version/v1"
    assert {"ordermill", "python", "sqlite", "aiormq"} <= set(shown)


def test_a_command_that_only_asks_loads_no_service(tmp_path: Path) -> None:
    asking = ("audit", "config", "dlq", "events", "order", "outbox", "store", "tokens")
    load = "".join(f"import actors.commands.{name}\n" for name in asking)
    tell = "import sys\nprint(*sorted({'quart', 'hypercorn', 'actors.system'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", load + tell], text=True).strip() == ""


def test_config_shows_where_a_value_comes_from_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "ordermill.toml").write_text("[http]\nport = 9000\n")
    variables = {"ORDERMILL_SECURITY_SECRET": "s3cret-" * 6, "ORDERMILL_API_RATE_PER_MIN": "7"}
    done = run("config", "show", "--sources", cwd=tmp_path, variables=variables)
    assert "s3cret" not in done.stdout
    lines = {line.split(" = ")[0].strip(): line for line in done.stdout.splitlines()}
    assert "9000" in lines["http.port"]
    assert "ordermill.toml:2" in lines["http.port"]
    assert "ORDERMILL_API_RATE_PER_MIN" in lines["api.rate_per_min"]
    assert "***" in lines["security.secret"]


def test_config_explains_a_key_and_names_the_nearest_to_a_wrong_one(tmp_path: Path) -> None:
    done = run("config", "explain", "payment.hold_s", cwd=tmp_path)
    assert "ORDERMILL_PAYMENT_HOLD_S" in done.stdout
    wrong = run("config", "explain", "payment.hold", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "payment.hold_s" in wrong.stderr


def test_config_check_finds_every_mistake_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "ordermill.toml").write_text("[http]\nport = -1\nprot = 2\n")
    done = run("config", "check", cwd=tmp_path)
    assert done.returncode == 2
    assert "ordermill.toml:2" in done.stderr
    assert "ordermill.toml:3" in done.stderr


def test_a_right_configuration_is_told_to_programs_too(tmp_path: Path) -> None:
    done = run("--set", "http.port=1234", "config", "check", "--format", "json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (told["schema"], told["ok"], told["given"]) == ("ordermill.config-check/v1", True, 1)
    assert told["settings"] == len(describe(Settings))


def test_the_schema_describes_every_key(tmp_path: Path) -> None:
    schema = json.loads(run("config", "schema", cwd=tmp_path).stdout)
    assert schema["properties"]["payment"]["properties"]["hold_s"]["default"] == 5.0


def test_check_passes_on_a_fresh_folder_and_says_what_fails(tmp_path: Path) -> None:
    good = run(*FREE_PORTS, "check", cwd=tmp_path)
    assert good.returncode == 0, good.stdout
    assert "FAIL" not in good.stdout
    with up(tmp_path):
        bad = run(*FREE_PORTS, "check", "--only", "config,store", cwd=tmp_path)
    assert bad.returncode == 3
    assert "FAIL  store" in bad.stdout
    assert "1 of 2 failed" in bad.stdout
    assert max(map(len, bad.stdout.splitlines()[1:2])) <= 100, "what to do is on the next line"
    assert bad.stdout.splitlines()[2].lstrip().startswith("-> ")


def test_check_tells_a_program_the_same(tmp_path: Path) -> None:
    with up(tmp_path):
        done = run(*FREE_PORTS, "check", "--only", "clock,store", "--format", "json", cwd=tmp_path)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert (told["schema"], told["ok"]) == ("ordermill.check/v1", False)
    clock, store = told["data"]
    assert clock == {"name": "clock", "ok": True, "found": "plausible", "todo": ""}
    assert (store["name"], store["ok"], "locked" in store["found"]) == ("store", False, True)
    assert "--data-dir" in store["todo"]


def test_every_setting_says_what_it_is(tmp_path: Path) -> None:
    assert [row.key for row in describe(Settings) if not row.description] == []
    done = run("config", "explain", "runtime.restarts_max", "--format", "json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (told["schema"], told["default"]) == ("ordermill.setting/v1", "5")
    assert told["variable"] == "ORDERMILL_RUNTIME_RESTARTS_MAX"


def test_nobody_to_talk_to_is_said_with_what_to_do(tmp_path: Path) -> None:
    done = run("--url", "http://127.0.0.1:9", "order", "show", "ord_1", cwd=tmp_path)
    assert done.returncode == 3
    assert "ordermill up" in done.stderr
    told = done.stderr.splitlines()
    assert len(told) == len(set(told)), "a cause is told twice"


def test_the_settings_say_where_the_system_is(tmp_path: Path) -> None:
    (tmp_path / "ordermill.toml").write_text("[http]\nport = 9\n")
    done = run("order", "show", "ord_1", cwd=tmp_path)
    assert "cannot reach a running system at http://127.0.0.1:9\n" in done.stderr
    any_port = run("--set", "http.port=0", "order", "show", "ord_1", cwd=tmp_path)
    assert (any_port.returncode, "--url" in any_port.stderr) == (2, True)


def test_a_customer_and_an_operator_use_the_command_line(tmp_path: Path) -> None:
    with up(tmp_path, "payment.hold_s=0", "shipping.hold_s=0") as (_, url):

        def order(*arguments: str, code: int = 0) -> str:
            done = run("--url", url, "order", *arguments, cwd=tmp_path)
            assert done.returncode == code, done.stdout + done.stderr
            return done.stdout if code == 0 else done.stderr

        created = order("create", "--item", "MUG-1=2", "--wait", "prepared")
        order_id = created.split()[1]
        assert "shipping-prepared/v1" in created
        assert "cancellation-locked" in order("cancel", order_id, code=1)
        assert "payment-locked" in order("set-payment", order_id, "--card", "pm_card_visa", code=1)
        assert "shipping-locked" in order("set-address", order_id, "--address", "sample", code=1)
        assert "status    shipped" in order(
            "ship", order_id, "--carrier", "DHL", "--tracking", "JD1"
        )
        shown = json.loads(order("show", order_id, "--format", "json"))
        assert (shown["schema"], shown["status"]) == ("ordermill.order/v1", "shipped")
        assert "status    placed" in order("show", order_id, "--at", "1")
        assert "shipped/v1" in order("watch", order_id, "--until", "shipped")
        assert order_id in order("list", "--status", "shipped", "--email", "ada@example.org")


@pytest.mark.parametrize(
    "scenario", ["happy", "decline", "address-edit", "cancel", "crash", "refund-retry"]
)
def test_the_demo_tells_its_story_and_ends_well(tmp_path: Path, scenario: str) -> None:
    done = run("demo", "--scenario", scenario, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nOK  " in done.stdout
    assert "order-created" in done.stdout
    assert "e-mail:" in done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
