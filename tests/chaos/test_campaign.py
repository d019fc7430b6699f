"""Short campaigns: every process is killed while it works, and the ledgers agree.

Together they kill each service on its own, the embedded broker on its own and inside ``up``, and a
RabbitMQ node. ``make chaos`` runs long ones.
"""

from pathlib import Path

import pytest

from tests.chaos.campaign import run
from tests.chaos.outcome import Plan

SERVICES = {"order-events", "payment", "shipping", "notification", "gateway"}
APART = Plan(seed=21, kills=12, orders=60, split=True, clients=6, pause_s_max=0.5)
PLANS = {
    "split": (APART, {"broker", *SERVICES}),
    "together": (Plan(seed=20, kills=8, orders=80, clients=6), {"up"}),
}
ON_RABBITMQ = Plan(
    seed=22,
    kills=12,
    orders=70,
    split=True,
    broker="rabbitmq",
    mail="smtp",
    clients=6,
    pause_s_max=0.5,
)


async def _holds(plan: Plan, targets: set[str], folder: Path) -> None:
    said: list[str] = []
    outcome = await run(plan, folder, said.append)
    told = "\n".join([*said, outcome.summary()])
    assert outcome.green, told
    assert {kill.target for kill in outcome.kills if kill.unfinished} == targets, told
    assert len(outcome.kills) >= plan.kills, told
    assert outcome.accepted_orders >= plan.orders, told


@pytest.mark.rabbitmq
async def test_killed_with_the_rabbitmq_between_them_every_ledger_agrees(
    tmp_path: Path, rabbitmq_is_installed: None
) -> None:
    await _holds(ON_RABBITMQ, {"rabbitmq", *SERVICES}, tmp_path)


@pytest.mark.parametrize("name", PLANS)
async def test_killed_again_and_again_every_ledger_agrees(tmp_path: Path, name: str) -> None:
    plan, targets = PLANS[name]
    await _holds(plan, targets, tmp_path)


def test_between_them_they_kill_enough() -> None:
    plans = [ON_RABBITMQ, *(plan for plan, _ in PLANS.values())]
    assert sum(plan.kills for plan in plans) >= 20
    assert sum(plan.orders for plan in plans) >= 200
