"""A gateway and a browser without scripts, for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World, gateway_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway in test mode without a rate limit."""
    async with gateway_world(tmp_path) as world:
        yield world


@pytest.fixture
def browser(world: World) -> BrowserClient:
    """A browser that has not been here before."""
    return world.browser()
