"""One gateway over a real Order Event Service, for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.gateway import World, gateway_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway in test mode without a rate limit."""
    async with gateway_world(tmp_path) as world:
        yield world
