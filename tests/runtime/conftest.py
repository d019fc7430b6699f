"""What the tests of the AMQP client share: a broker, a host, and links that run."""

from pathlib import Path

import pytest

from runtime.host import Host, production_host
from runtime.telemetry import Telemetry, quiet_telemetry
from tests.harness.rabbitmq import RabbitMQ


@pytest.fixture
def broker_url(rabbitmq: RabbitMQ) -> str:
    """An empty virtual host of a real RabbitMQ."""
    return f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/{rabbitmq.vhost()}"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return production_host(tmp_path)


@pytest.fixture
def telemetry() -> Telemetry:
    return quiet_telemetry()
