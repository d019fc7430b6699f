"""What the tests of the runtime share: brokers, a host, telemetry that stays quiet."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.host import Disk, Host, production_host
from runtime.http import HttpServer
from runtime.telemetry import Telemetry, quiet_telemetry
from tests.harness.asked_app import App
from tests.harness.embedded import EmbeddedServer
from tests.harness.message_service import Shop
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.running import running
from tests.harness.stage import Stage

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
def disk(host: Host) -> Disk:
    return host.disk


@pytest.fixture
def stage(host: Host) -> Stage:
    """Children for a supervisor, which do as they are told."""
    return Stage(host)


@pytest.fixture
def telemetry() -> Telemetry:
    return quiet_telemetry()


@pytest.fixture
def app() -> App:
    """What `server` stands in front of."""
    return App()


@pytest.fixture
async def server(app: App, caplog: pytest.LogCaptureFixture) -> AsyncIterator[HttpServer]:
    """A server with few places; nothing that a client does may be worth a line in the log."""
    with caplog.at_level(logging.WARNING):
        server = HttpServer(app, "127.0.0.1", 0, connections_max=3, grace_s=0.05)
        async with running(server.run):
            yield server
    assert caplog.get_records("call") == []


@pytest.fixture
def shop(broker_url: str, tmp_path: Path) -> Shop:
    """A message service on the broker, whose handler does nothing."""
    return Shop(broker_url, tmp_path, lambda message, claim: None)
