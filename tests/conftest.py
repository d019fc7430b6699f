"""Fixtures for every test: the event loop, and a real RabbitMQ where one is installed."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from bench.rabbitmq import server_home
from tests.harness.distribution import LongFirst, rank
from tests.harness.rabbitmq import RabbitMQ

# Shared and noisy machines: how long an example takes says nothing about what it tests.
settings.register_profile("ordermill", deadline=None)
settings.load_profile("ordermill")


def pytest_configure() -> None:
    """Have Ctrl-C reach the processes of tests: what a shell runs in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests in front; the rest stays as it is."""
    items.sort(key=lambda item: rank(item.nodeid))


def pytest_xdist_make_scheduler(config: Any, log: Any) -> LongFirst:
    """Spread the tests as `LongFirst` does, wherever there are workers to spread them over."""
    return LongFirst(config, log)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio only: aiormq and the broker's server know no other loop."""
    return "asyncio"


@pytest.fixture(scope="session")
def rabbitmq(rabbitmq_is_installed: None) -> Iterator[RabbitMQ]:
    """A running RabbitMQ of our own. Use names of your own, or ``rabbitmq.vhost()``."""
    yield from _node()


@pytest.fixture
def fresh_rabbitmq(rabbitmq_is_installed: None) -> Iterator[RabbitMQ]:
    """A node for one test, to kill and start again: it comes back fast, having few queues."""
    yield from _node()


@pytest.fixture(scope="session")
def rabbitmq_is_installed() -> None:
    """For tests that start a node of their own."""
    if server_home() is None:
        reason = "no RabbitMQ server installed (Debian: apt-get install rabbitmq-server)"
        if os.environ.get("ORDERMILL_REQUIRE_RABBITMQ") == "1":
            pytest.fail(f"ORDERMILL_REQUIRE_RABBITMQ=1, but {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium_is_installed() -> None:
    """For tests that start a browser."""
    from tests.harness.chromium import executable  # half a second, for those who need it

    if executable() is None:
        reason = "no Chromium installed (Debian: apt-get install chromium)"
        if os.environ.get("ORDERMILL_REQUIRE_BROWSER") == "1":
            pytest.fail(f"ORDERMILL_REQUIRE_BROWSER=1, but {reason}")
        pytest.skip(reason)


def _node() -> Iterator[RabbitMQ]:
    node = RabbitMQ()
    try:
        node.start()
        yield node
    finally:
        node.close()
