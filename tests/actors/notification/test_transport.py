"""The setting mail.transport: what it may be, and that no error tells what is in it."""

import ssl
import sys
from pathlib import Path

import pytest

from actors.notification.maildir import Maildir
from actors.notification.smtp import Smtp
from actors.notification.transport import MailServer, mailer_for
from runtime.errors import ConfigurationError
from runtime.host import production_host
from runtime.setting import Secret

SENDER = "Shop <orders@shop.example>"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "user", "password"),
    [
        ("smtp://mail.example", "mail.example", 25, False, "", ""),
        ("smtp://shop:s3cret@mail.example", "mail.example", 587, False, "shop", "s3cret"),
        (
            "smtps://shop%40a.org:s%2F3@mail.example/",
            "mail.example",
            465,
            True,
            "shop@a.org",
            "s/3",
        ),
        ("smtps://[::1]:2465", "::1", 2465, True, "", ""),
    ],
)
def test_a_server_is_read_from_its_url(
    url: str, host: str, port: int, tls: bool, user: str, password: str
) -> None:
    server = MailServer.parse(url)
    assert (server.host, server.port, server.tls) == (host, port, tls)
    assert (server.user, server.password.reveal()) == (user, password)
    assert "s3cret" not in f"{server} {server!r}"


@pytest.mark.parametrize(
    "url",
    [
        "shop:s3cret@mail.example",
        "http://shop:s3cret@mail.example",
        "smtp://shop:s3cret@",
        "smtp://s3cret@mail.example",
        "smtp://shop:s3cret@mail.example:port",
        "smtp://shop:s3/cret@mail.example",
        "smtp://shop:s3#cret@mail.example",
        "smtp://shop:s3[cret@mail.example",
        "smtp://shop:s3℀cret@mail.example",
        "smtp://shop:s3cret@mail.example/folder",
        "smtp://shop:s3cret@mail.example?starttls=no",
        "s3cret",
        "",
    ],
)
def test_what_is_no_mail_server_is_refused_without_quoting_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mail\.transport") as caught:
        mailer_for(Secret(url), SENDER, production_host(tmp_path))
    error = caught.value
    assert error.hint
    assert error.__suppress_context__ or error.__context__ is None
    assert "s3" not in f"{error} {error.hint}"


def test_certificates_are_checked_but_for_starttls_on_this_machine(tmp_path: Path) -> None:
    for url in ("smtp://mail.example", "smtps://mail.example", "smtps://localhost"):
        context = MailServer.parse(url).context()
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert MailServer.parse("smtp://localhost").context().verify_mode == ssl.CERT_NONE
    with pytest.raises(ConfigurationError, match="cannot read cafile"):
        MailServer.parse(f"smtp://localhost?cafile={tmp_path / 'none'}").context()


def test_the_setting_chooses_the_mailer(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    assert isinstance(mailer_for(Secret("maildir"), SENDER, host), Maildir)
    assert isinstance(mailer_for(Secret("smtp://mail.example"), SENDER, host), Smtp)


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiosmtplib", None)
    monkeypatch.delitem(sys.modules, "actors.notification.smtp")
    host = production_host(tmp_path)
    assert isinstance(mailer_for(Secret("maildir"), SENDER, host), Maildir)
    with pytest.raises(ConfigurationError, match="aiosmtplib is not installed") as caught:
        mailer_for(Secret("smtp://shop:s3cret@mail.example"), SENDER, host)
    assert "pip install 'ordermill[smtp]'" in caught.value.hint
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "sender",
    ["", "Shop", "a@x.org, b@x.org", "Shop <a@x.org>\nBcc: b@x.org", "Ä <ä@x.org>"],
)
def test_a_sender_is_one_mailbox(tmp_path: Path, sender: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mail\.sender"):
        mailer_for(Secret("maildir"), sender, production_host(tmp_path))
