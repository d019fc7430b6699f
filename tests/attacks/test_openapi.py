"""Schemathesis against the API's own description: it keeps what it says, and never fails."""

import re
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import httpx

from tests.attacks.target import Target, target
from tests.harness.system import order_body

# What no schema can say is no contradiction to it: a sku that is not sold, a text that holds a card
# number. And who is not admitted to an order is told that there is none (404), on purpose.
NOT_CHECKED = "positive_data_acceptance,ignored_auth"
# They never end by themselves; `floods` and `corpus` take care of them.
NOT_ASKED = ("stream", "admin_stream", "admin_topology_stream")
CASES = re.compile(r"(\d+) generated")


async def test_every_operation_does_what_openapi_json_says_whatever_it_is_sent(
    tmp_path: Path,
) -> None:
    with target(tmp_path, "payment.hold_s=3600") as attacked:
        await attacked.ready()
        async with httpx.AsyncClient(base_url=attacked.url, timeout=30.0) as client:
            placed = (await client.post("/v1/orders", json=order_body())).json()
        config = tmp_path / "schemathesis.toml"
        config.write_text(f'[parameters]\norder_id = "{placed["id"]}"\n')
        run = await anyio.to_thread.run_sync(_schemathesis, attacked, config)
        said = f"{run.stdout}\n{run.stderr}"
        assert run.returncode == 0, said
        generated = CASES.search(said)
        assert generated is not None, said
        assert int(generated[1]) >= 300, said
        assert await attacked.stop() == 0
        assert attacked.complaints() == []


def _schemathesis(attacked: Target, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config)),
            *("run", f"{attacked.url}/openapi.json", "--no-color"),
            *("--checks", "all", "--exclude-checks", NOT_CHECKED),
            *(part for name in NOT_ASKED for part in ("--exclude-operation-id", name)),
            *("--header", f"Authorization: Bearer {attacked.operator_token}"),
            *("--phases", "coverage,fuzzing", "--max-examples", "8"),
            *("--seed", "1", "--generation-database", "none"),
            *("--request-timeout", "30", "--warnings", "off"),
        ],
        cwd=config.parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
