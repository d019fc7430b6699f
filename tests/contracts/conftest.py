"""Fixtures of the contracts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.order_events_clients import IMPLEMENTATIONS, Clients


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def clients(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Clients]:
    """Clients of a fresh service, in each way to reach it."""
    async with IMPLEMENTATIONS[request.param](tmp_path) as made:
        yield made
