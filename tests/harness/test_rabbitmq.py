"""The private node is private, takes logins, and hands out fresh virtual hosts."""

import pika
import pytest

from runtime.errors import EnvironmentUnready
from tests.harness.rabbitmq import RabbitMQ

pytestmark = pytest.mark.rabbitmq


def test_takes_a_login_on_its_own_port(rabbitmq: RabbitMQ) -> None:
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        assert connection.is_open


def test_vhosts_are_never_handed_out_twice(rabbitmq: RabbitMQ) -> None:
    names = [rabbitmq.vhost() for _ in range(9)]
    assert len(set(names)) == 9
    listed = rabbitmq.control("list_vhosts", "--no-table-headers").split()
    assert set(names) <= set(listed)


def test_control_says_what_went_wrong(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(EnvironmentUnready, match="no_such_command"):
        rabbitmq.control("no_such_command")
