"""Short campaigns: every process of ours is killed while it works, and the ledgers agree."""

from pathlib import Path

import pytest

from tests.chaos.campaign import Plan, run


@pytest.mark.parametrize(
    "plan",
    [
        Plan(seed=20, kills=24, orders=200, pause_s_max=0.8),
        Plan(seed=21, kills=12, orders=40, split=True, pause_s_max=0.5),
    ],
    ids=["together", "split"],
)
async def test_killed_again_and_again_every_ledger_agrees(tmp_path: Path, plan: Plan) -> None:
    said: list[str] = []
    outcome = await run(plan, tmp_path, said.append)
    assert outcome.green, "\n".join([*said, outcome.summary()])
    assert len(outcome.kills) >= plan.kills
    assert outcome.accepted_orders >= plan.orders
