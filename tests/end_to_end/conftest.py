"""The brokers that every flow is run on: the embedded one, and a real RabbitMQ."""

import pytest

from tests.harness.rabbitmq import RabbitMQ


@pytest.fixture(params=["embedded", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Return a value for ``broker.url``: a virtual host of its own for each test on RabbitMQ."""
    if request.param == "embedded":
        return "embedded"
    node: RabbitMQ = request.getfixturevalue("rabbitmq")
    return f"amqp://{node.user}:{node.password}@{node.host}:{node.port}/{node.vhost()}"
