"""``ordermill up``: it becomes ready, it drains, and what it cannot use it names."""

import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.harness.command import FREE_PORTS, run, up
from tests.harness.system import order_body


def test_it_serves_until_sigterm_and_leaves_without_a_traceback(tmp_path: Path) -> None:
    with up(tmp_path) as (command, url):
        placed = httpx.post(f"{url}/v1/orders", json=order_body()).json()
        path = f"{url}/v1/orders/{placed['id']}/events/stream"
        headers = {"authorization": f"Bearer {placed['access_token']}"}
        with httpx.stream("GET", path, headers=headers, timeout=30) as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("event:")) == "event: order.event"
            command.signal(signal.SIGTERM)
            assert "event: bye" in list(lines)
        assert command.ended() == 0
    assert "Traceback" not in command.output
    assert "stopping" in command.output


def test_it_prints_a_link_that_logs_in_at_the_console_and_the_session_outlives_it(
    tmp_path: Path,
) -> None:
    with up(tmp_path) as (command, url):
        link = command.wait_for("/ops/login?t=").split()[1]
        assert link.startswith(url)
        response = httpx.get(link)
        assert (response.status_code, response.headers["location"]) == (303, "/ops")
        cookie = {"cookie": f"operator={response.cookies['operator']}"}
        assert "Problems now" in httpx.get(f"{url}/ops", headers=cookie).text
        assert httpx.get(link).status_code == 401
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert command.output.count(link.partition("t=")[2]) == 1, "only where it was printed"
    with up(tmp_path) as (_, url):
        assert "Problems now" in httpx.get(f"{url}/ops", headers=cookie).text


def test_ctrl_c_is_an_interruption(tmp_path: Path) -> None:
    with up(tmp_path) as (command, _):
        command.signal(signal.SIGINT)
        assert command.ended() == 130
    assert "requests: 10 s at most; Ctrl-C again stops at once" in command.output
    assert "Traceback" not in command.output


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with up(tmp_path, "payment.hold_s=0") as (command, url):
        placed = httpx.post(f"{url}/v1/orders", json=order_body("pm_card_slow")).json()
        path = f"{url}/v1/orders/{placed['id']}/events/stream"
        headers = {"authorization": f"Bearer {placed['access_token']}"}
        with httpx.stream("GET", path, headers=headers, timeout=30) as stream:
            next(line for line in stream.iter_lines() if "payment-auth-in-progress" in line)
        command.signal(signal.SIGTERM)
        command.wait_for("stopping")
        command.signal(signal.SIGTERM)
        assert command.ended() == 130


def test_the_same_data_is_found_again(tmp_path: Path) -> None:
    with up(tmp_path, "payment.hold_s=0", "shipping.hold_s=0") as (command, url):
        placed = httpx.post(f"{url}/v1/orders", json=order_body()).json()
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    with up(tmp_path) as (_, url):
        headers = {"authorization": f"Bearer {placed['access_token']}"}
        found = httpx.get(f"{url}/v1/orders/{placed['id']}", headers=headers)
    assert found.status_code == 200
    assert found.json()["number"] == placed["number"]


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    done = run("up", cwd=tmp_path, variables={"ORDERMILL_HTTP_PORT": "abc"})
    assert done.returncode == 2
    assert 'ORDERMILL_HTTP_PORT: expected an integer 0..65535, got "abc"' in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_misspelt_variable_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    done = run("up", cwd=tmp_path, variables={"ORDERMILL_HTTP_PROT": "1"})
    assert done.returncode == 2
    assert "ORDERMILL_HTTP_PROT" in done.stderr
    assert "ORDERMILL_HTTP_PORT" in done.stderr


def test_an_unreachable_broker_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = f"amqp://guest:hidden@127.0.0.1:{port}/"
        done = run(*FREE_PORTS, "up", "--broker", url, cwd=tmp_path)
    assert done.returncode == 3
    assert f"cannot reach the broker at amqp://guest:***@127.0.0.1:{port}/" in done.stderr
    assert "hint: start RabbitMQ" in done.stderr
    assert "hidden" not in done.stderr


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(*FREE_PORTS, "up", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 3
    assert "http.port" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_data_folder_serves_one_process(tmp_path: Path) -> None:
    with up(tmp_path):
        done = run(*FREE_PORTS, "up", cwd=tmp_path)
    assert done.returncode == 3
    assert "another process" in done.stderr


def test_a_generated_operator_token_stays_on_the_loopback_interface(tmp_path: Path) -> None:
    done = run(*FREE_PORTS, "up", "--bind", "0.0.0.0", cwd=tmp_path)
    assert done.returncode == 2
    assert "ORDERMILL_SECURITY_OPERATOR_TOKEN_FILE" in done.stderr


@pytest.mark.parametrize("setting", ["security.secret", "security.operator_token"])
def test_live_mode_makes_no_secrets_up(tmp_path: Path, setting: str) -> None:
    given = {
        name: "x" * 40
        for name in ("secret", "operator_token", "viewer_token", "service_secret")
        if not setting.endswith(f".{name}")
    }
    variables = {f"ORDERMILL_SECURITY_{name.upper()}": text for name, text in given.items()}
    done = run(*FREE_PORTS, "--set", "mode=live", "up", cwd=tmp_path, variables=variables)
    assert done.returncode == 2
    assert f"{setting} is not set" in done.stderr
