"""What the tests of the runtime share: brokers, a host, telemetry that stays quiet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.host import Host, production_host
from runtime.telemetry import Telemetry, quiet_telemetry
from tests.harness.embedded import EmbeddedServer
from tests.harness.rabbitmq import RabbitMQ

_VHOSTS = [f"v{number}" for number in range(400)]


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServer]:
    """Our own broker, on a port of its own."""
    with EmbeddedServer(vhosts=_VHOSTS) as server:
        yield server


@pytest.fixture(scope="session")
def embedded_vhosts() -> Iterator[str]:
    """Names of virtual hosts that nobody has used."""
    return iter(_VHOSTS)


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQ) -> str:
    """An empty virtual host of a real RabbitMQ."""
    return f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/{rabbitmq.vhost()}"


@pytest.fixture(params=["rabbitmq", "embedded"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """An empty virtual host: of a real RabbitMQ, and of our own broker: one contract."""
    if request.param == "rabbitmq":
        url: str = request.getfixturevalue("rabbitmq_url")
        return url
    server: EmbeddedServer = request.getfixturevalue("embedded")
    vhosts: Iterator[str] = request.getfixturevalue("embedded_vhosts")
    return server.url + next(vhosts)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return production_host(tmp_path)


@pytest.fixture
def telemetry() -> Telemetry:
    return quiet_telemetry()
