"""``ordermill serve``: services as processes of their own, and all of them as children of one."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from actors.services import SERVICES
from bench.ports import free_port
from tests.harness.command import FREE_PORTS, PATIENCE_S, Serving, run, serving
from tests.harness.system import order_body

NAMES = ("broker", *SERVICES)


def test_it_says_what_there_is_to_serve(tmp_path: Path) -> None:
    done = run("serve", "paymint", cwd=tmp_path)
    assert done.returncode == 2
    assert all(name in done.stderr for name in SERVICES)
    assert run("serve", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("names", [["payment"], ["gateway", "order-events"]])
def test_a_broker_inside_a_process_cannot_be_shared(tmp_path: Path, names: list[str]) -> None:
    done = run(*FREE_PORTS, "serve", *names, cwd=tmp_path)
    assert done.returncode == 2
    assert "broker.url is embedded" in done.stderr
    assert "ordermill broker" in done.stderr


def test_where_a_neighbour_is_must_be_known(tmp_path: Path) -> None:
    done = run(*FREE_PORTS, "serve", "gateway", cwd=tmp_path)
    assert done.returncode == 2
    assert "order_events.port is 0" in done.stderr
    assert "set order_events.url" in done.stderr


def test_only_all_services_can_be_split(tmp_path: Path) -> None:
    done = run("serve", "payment", "--split", cwd=tmp_path)
    assert done.returncode == 2
    assert "serve all --split" in done.stderr


def test_all_services_in_one_process_need_nobody(tmp_path: Path) -> None:
    with serving(*FREE_PORTS, "serve", "all", cwd=tmp_path) as command:
        line = command.wait_for("ready in")
        assert all(f"{name} http://" in line for name in SERVICES)
        assert httpx.get(line.split()[-1] + "/readyz").status_code == 200
        command.signal(signal.SIGTERM)
        assert command.ended() == 0


@contextmanager
def split(cwd: Path) -> Iterator[tuple[Serving, str]]:
    """Run ``serve all --split``; yield it and the URL of its gateway."""
    keys = ("http", "order_events", "payment", "shipping", "notification")
    ports = [part for key in keys for part in ("--set", f"{key}.port={free_port()}")]
    with serving(
        *ports, "--set", "payment.hold_s=0", "serve", "all", "--split", cwd=cwd
    ) as command:
        yield command, command.wait_for(" processes ").split()[-1]


def children(command: Serving) -> dict[str, int]:
    """Return the process ids of the children by the names they serve."""
    pid = command.pid
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in listed}
    return {
        name: child
        for child, line in commands.items()
        for name in NAMES
        if line.rstrip("\0").split("\0")[-1] == name or f"\0{name}\0--until-eof\0--bind" in line
    }


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_split_every_service_is_a_process_and_the_gateway_stops_first(tmp_path: Path) -> None:
    with split(tmp_path) as (command, url):
        assert sorted(children(command)) == sorted(NAMES)
        placed = httpx.post(f"{url}/v1/orders", json=order_body())
        assert placed.status_code == 201
        path = f"{url}/v1/orders/{placed.json()['id']}/events/stream"
        headers = {"authorization": f"Bearer {placed.json()['access_token']}"}
        with httpx.stream("GET", path, headers=headers, timeout=30) as stream:
            next(line for line in stream.iter_lines() if "payment-captured" in line)
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    stopping = [line.split()[0] for line in command.output.splitlines() if "| stopping" in line]
    assert stopping == list(reversed(NAMES))
    assert "Traceback" not in command.output


def test_split_ctrl_c_stops_everything_in_order_too(tmp_path: Path) -> None:
    with split(tmp_path) as (command, _):
        # A terminal's Ctrl-C goes to its whole session: to the parent, and to no child.
        assert all(os.getsid(pid) == pid for pid in children(command).values())
        command.signal(signal.SIGINT)
        assert command.ended() == 130
    assert "Traceback" not in command.output


def test_split_a_child_that_dies_is_named_and_takes_the_others_along(tmp_path: Path) -> None:
    with split(tmp_path) as (command, _):
        pids = children(command)
        os.kill(pids["payment"], signal.SIGKILL)
        assert command.ended() == 1
        assert all(gone(pid) for pid in pids.values())
    assert "error: payment ended by itself" in command.output


def test_split_children_outlive_no_parent(tmp_path: Path) -> None:
    with split(tmp_path) as (command, _):
        pids = children(command)
        command.signal(signal.SIGKILL)
        limit = time.monotonic() + PATIENCE_S
        while not all(gone(pid) for pid in pids.values()):
            assert time.monotonic() < limit, "a child is still there"
            time.sleep(0.05)


def test_split_a_service_that_cannot_start_ends_the_command_with_its_code(tmp_path: Path) -> None:
    port = free_port()
    ports = ("--set", f"http.port={port}", "--set", f"payment.port={port}")
    rest = [f"{key}.port={free_port()}" for key in ("order_events", "shipping", "notification")]
    options = [part for setting in rest for part in ("--set", setting)]
    with serving(*ports, *options, "serve", "all", "--split", cwd=tmp_path) as command:
        assert command.ended() == 3
    assert "cannot listen on" in command.output
    assert "ended by itself (exit code 3)" in command.output


def test_tokens_are_those_of_one_service(tmp_path: Path) -> None:
    def shown(service: str) -> dict[str, str]:
        done = run("tokens", service, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    payment, shipping, gateway = shown("payment"), shown("shipping"), shown("gateway")
    token, shared = "ORDERMILL_SECURITY_SERVICE_TOKEN", "ORDERMILL_SECURITY_SHIPPING_TOKEN"
    assert set(payment) == {token}
    assert shipping[shared] == gateway[shared]
    mails = "ORDERMILL_SECURITY_NOTIFICATION_TOKEN"
    assert shown("notification")[mails] == gateway[mails]
    assert mails not in shipping
    assert len({payment[token], shipping[token], gateway[token], gateway[shared]}) == 4
    assert shown("payment") == payment
    told = json.loads(run("tokens", "gateway", "--format", "json", cwd=tmp_path).stdout)
    assert told == {"schema": "ordermill.tokens/v1", "service": "gateway", "variables": gateway}
