"""Ten thousand malformed requests, then seven floods: whoever is honest is served all along."""

from pathlib import Path

from runtime.host import allow_open_files
from tests.attacks.campaign import Plan, run


async def test_attacked_over_sockets_it_serves_everybody_honest_and_keeps_its_size(
    tmp_path: Path,
) -> None:
    allow_open_files()
    said: list[str] = []
    plan = Plan(seed=1, corpus=8200, mutated=2700, noise=2000)
    outcome = await run(plan, tmp_path, said.append)
    summary = "\n".join([*said, outcome.summary()])
    assert outcome.breaches == [], summary
    assert outcome.malformed >= 10_000, summary
    assert not {status for status in outcome.statuses if status >= 500}, summary
    assert {400, 401, 404, 405, 409, 413, 415, 422, 431} <= set(outcome.statuses), summary
    assert outcome.flooded["slow heads"] == plan.floods.slow_heads, summary
    assert outcome.flooded["slow bodies"] == plan.floods.slow_bodies, summary
    assert outcome.flooded["slow readers cut off"] == plan.floods.slow_readers, summary
    assert outcome.flooded["streams 429"] >= 1, summary
    uploads = [count for name, count in outcome.flooded.items() if name.startswith("uploads")]
    assert sum(uploads) == plan.floods.uploads, summary
    assert outcome.flooded["uploads 413"] >= 1, summary
    assert outcome.served >= 130, summary
