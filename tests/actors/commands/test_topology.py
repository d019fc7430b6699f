"""What is declared, what is there, and what a broker has otherwise."""

import json
import signal
from pathlib import Path

import pytest

from actors.commands.topology import Live, _print_changes
from actors.topology import SUBSCRIPTIONS, topology
from tests.harness.command import run, serving
from tests.harness.operating import Operator
from tests.harness.rabbitmq import RabbitMQ


def test_it_shows_what_the_code_declares(tmp_path: Path) -> None:
    shown = json.loads(run("topology", "--format", "json", cwd=tmp_path).stdout)
    declared = topology((1, 5, 30, 60), "quorum")
    assert shown["schema"] == "ordermill.topology/v1"
    assert [row["name"] for row in shown["queues"]] == [queue.name for queue in declared.queues]
    assert len(shown["bindings"]) == len(declared.bindings)
    assert [row["queue"] for row in shown["consumers"]] == list(SUBSCRIPTIONS)
    text = run("topology", cwd=tmp_path).stdout
    assert max(map(len, text.splitlines())) <= 100
    assert "orders.order-created" in text
    assert "payment, notification" in text
    assert "back to shipping after 30 s" in text


def test_the_picture_has_every_binding(tmp_path: Path) -> None:
    lines = run("topology", "--format", "mermaid", cwd=tmp_path).stdout.splitlines()
    assert lines[0] == "flowchart LR"
    for binding in topology((1,), "quorum").bindings:
        name = binding.routing_key.partition(".")[2]
        assert f"  exchange-{binding.exchange} -->|{name}| {binding.queue}" in lines


def test_a_running_system_tells_what_is_in_its_queues(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    assert operator.run("topology", "--live").returncode == 3
    with operator.up("retry.attempts_max=1"):
        operator.place("--card", "pm_card_poison")
        operator.ok("order", "create", "--wait", "prepared")
        queues = {row["name"]: row for row in operator.json("topology", "--live")["queues"]}
        assert queues["shipping"]["consumers"] == 1
        assert queues["shipping"]["ready"] == 0
        assert queues["payment.dead"] | {"ready": 1, "unacked": 0} == queues["payment.dead"]
        assert 0 < queues["payment.dead"]["oldest_age_s"] < 60
        lines = operator.ok("topology", "--live").splitlines()
        assert sum("the oldest" in line for line in lines) == 1
        assert max(map(len, lines)) <= 100
    assert operator.run("topology", "--check").returncode == 2, "it is embedded"


def test_what_a_broker_does_not_tell_is_said_with_the_reason(
    tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    operator = Operator(tmp_path)
    with operator.up(f"broker.url={rabbitmq.fresh_url()}"):
        told = operator.run("topology", "--live")
        assert told.returncode == 0
        assert "0 ready, 1 consumers" in told.stdout
        reason = "not available: the management API is not configured"
        assert told.stderr.strip() == f"rates and ages: {reason}"
        shown = operator.json("topology", "--live")
        assert (shown["missing"], shown["alarms"]) == ([reason], None)
        (queue,) = [row for row in shown["queues"] if row["name"] == "payment"]
        assert (queue["ready"], queue["unacked"], queue["oldest_age_s"]) == (0, None, None)


def test_a_broker_that_differs_is_told_and_left_as_it_is(
    tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    vhost = rabbitmq.vhost()
    variables = {"ORDERMILL_BROKER_URL": f"{rabbitmq.url}{vhost}"}
    for _ in range(2):
        empty = run("topology", "--check", cwd=tmp_path, variables=variables)
        assert empty.returncode == 1
        assert empty.stdout.count("is missing") == 3 + 18
    assert rabbitmq.control("list_queues", "-p", vhost, "name").split() == []
    away = {"ORDERMILL_BROKER_URL": "amqp://guest:guest@127.0.0.1:9/"}
    gone = run("topology", "--check", cwd=tmp_path, variables=away)
    assert gone.returncode == 3
    assert "cannot look at the broker" in gone.stderr


def _seen(ready: int, age_s: float, alarms: list[str]) -> Live:
    row = {"name": "payment", "ready": ready, "consumers": 1, "oldest_age_s": age_s}
    return Live({"payment": row}, alarms, [])


def test_a_program_that_watches_is_told_of_queues_and_alarms_and_not_of_age(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def told(now: Live) -> object:
        _print_changes(_seen(1, 2.0, []), now, "json")
        text = capsys.readouterr().out
        return json.loads(text) if text else None

    assert told(_seen(1, 3.0, [])) is None
    assert told(_seen(2, 2.0, [])) == {
        "schema": "ordermill.topology-change/v1",
        "queues": dict(_seen(2, 2.0, []).depths),
        "alarms": [],
        "missing": [],
    }
    assert told(_seen(1, 2.0, ["disk"])) == {
        "schema": "ordermill.topology-change/v1",
        "queues": {},
        "alarms": ["disk"],
        "missing": [],
    }


def test_what_changes_is_told_until_ctrl_c(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    watch = ("--url", operator.url, "topology", "--watch", "0.2")
    with operator.up("retry.attempts_max=1"), serving(*watch, cwd=tmp_path) as command:
        assert "0 ready, 1 consumers" in command.wait_for("queue     payment  ")
        before = len(command.output)
        operator.place("--card", "pm_card_poison")
        assert "1 ready, 0 consumers" in command.wait_for("payment.dead", after=before)
        command.signal(signal.SIGINT)
        assert command.ended() == 130
    assert "Traceback" not in command.output
