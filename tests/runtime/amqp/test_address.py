import pytest

from runtime.amqp.address import Address
from runtime.errors import ConfigurationError


def test_defaults_are_filled_in_and_the_password_is_hidden() -> None:
    address = Address.parse("amqp://anna:s3cret@broker/orders")
    assert str(address) == "amqp://anna:***@broker:5672/orders"
    assert "s3cret" not in repr(address)
    dialled = address.dial(7, "publish")
    assert dialled.query == {"heartbeat": "7", "name": "publish"}
    assert dialled.password == "s3cret"
    assert address.tls() is None


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("localhost:5672", "must be amqp"),
        ("http://a:b@host/", "must be amqp"),
        ("amqp://a:b@host:port/", "not a URL"),
        ("amqp:///vhost", "must be amqp"),
        ("amqp://host/", "no user and password"),
        ("amqp://guest@host/", "no user and password"),
        ("amqp://:guest@host/", "no user and password"),
        ("amqps://a:b@host/?no_verify_ssl=false", "'no_verify_ssl' is not allowed"),
        ("amqps://a:b@host/?no_verify_ssl=", "'no_verify_ssl' is not allowed"),
        ("amqp://a:b@host/?heartbeat=abc", "'heartbeat' is not allowed"),
        ("amqp://a:b@host/?cafile=/x", "cafile needs amqps"),
    ],
)
def test_what_the_library_would_guess_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Address.parse(url)
    assert caught.value.hint


@pytest.mark.parametrize("odd", ["/", "?", "#", " ", "[", "@", "℀"])
def test_a_password_with_an_odd_character_is_not_told_to_anybody(odd: str) -> None:
    try:
        told = str(Address.parse(f"amqp://shop:s3c{odd}r3t@broker/orders"))
    except ConfigurationError as error:
        told = f"{error} {error.hint} {error.__cause__} "
        told += "" if error.__suppress_context__ else str(error.__context__)
    assert "s3c" not in told
    assert "r3t" not in told


def test_tls_always_checks_the_certificate_and_the_name() -> None:
    context = Address.parse("amqps://a:b@host/").tls()
    assert context is not None
    assert context.check_hostname
    with pytest.raises(ConfigurationError, match="cannot read cafile"):
        Address.parse("amqps://a:b@host/?cafile=/nowhere.pem").tls()
