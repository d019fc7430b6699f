"""Every contender of the cases that need RabbitMQ or processes does its work once, small."""

from pathlib import Path

import pytest

from bench.case import CASES, Case, Contender, Round, load_case
from bench.rounds import run_round
from tests.harness.rabbitmq import RabbitMQ

OPERATIONS = 24


def _contenders() -> list[object]:
    cases = [case for case in map(load_case, CASES) if not case.micro]
    # Stores of many orders are made by the one below; a run of the simulator is tested elsewhere.
    big = ("recover", "growth", "sim")
    return [
        pytest.param(case, contender, id=f"{case.name}-{contender.name}")
        for case in cases
        for contender in case.contenders
        if case.name not in big
    ]


@pytest.mark.parametrize(("case", "contender"), _contenders())
def test_a_contender_does_all_its_operations(
    case: Case, contender: Contender, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url, pid = "", 0
    if case.broker:
        node: RabbitMQ = request.getfixturevalue("rabbitmq")
        url = f"amqp://guest:guest@127.0.0.1:{node.port}/{node.vhost()}"
        pid = node.pid
    sample = run_round(
        Round(
            case=case.name,
            contender=contender.name,
            operations=OPERATIONS,
            folder=tmp_path,
            kept=tmp_path,
            broker_url=url,
            broker_pid=pid,
        )
    )
    assert sample.operations > 0
    assert sample.errors == 0
