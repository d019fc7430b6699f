"""How mails leave: the setting ``mail.transport``, read once, and the mailer that it names.

``maildir`` is the built-in mailer; ``smtp://`` and ``smtps://`` need the extra ``smtp``. No error
quotes the setting: it may hold a password, also where it is misspelt.
"""

import ssl
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from actors.notification.maildir import Maildir
from actors.notification.mailer import Mailer
from actors.notification.rfc5322 import sender_address
from runtime.errors import ConfigurationError
from runtime.host import Host
from runtime.setting import Secret

MAILDIR = "maildir"
CONNECTIONS_MAX = 4
SMTP_PORT, SUBMISSION_PORT, SMTPS_PORT = 25, 587, 465  # RFC 5321, RFC 6409, RFC 8314
_SCHEMES = ("smtp", "smtps")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EXAMPLE = "write it like smtp://user:password@host:587 or smtps://host (%40 for @ in a user)"


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where the mail server is and who we are there. Its text form holds no account.

    ``tls``: encrypted from the first byte. ``cafile``: the certificate authorities to trust instead
    of the system's.
    """

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: Secret = Secret("")
    cafile: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``smtp[s]://[user:password@]host[:port][?cafile=FILE]``; `ConfigurationError`.

        Without a port it is 465 for smtps, 587 with an account, else 25.
        """
        try:
            url = urlsplit(text)
            port, host = url.port, url.hostname
        except ValueError:
            raise _unusable("is not a URL") from None
        options = parse_qs(url.query, keep_blank_values=True)
        if url.scheme not in _SCHEMES or not host:
            raise _unusable("must be maildir, or smtp:// or smtps:// and name a host")
        if bool(url.username) != bool(url.password):
            raise _unusable("must name a user with a password, or neither")
        if url.path not in ("", "/") or url.fragment or list(options) not in ([], ["cafile"]):
            raise _unusable("may end with ?cafile=FILE and nothing else")
        usual = SUBMISSION_PORT if url.username else SMTP_PORT
        return cls(
            host=host,
            port=port or (SMTPS_PORT if url.scheme == "smtps" else usual),
            tls=url.scheme == "smtps",
            user=unquote(url.username or ""),
            password=Secret(unquote(url.password or "")),
            cafile=options["cafile"][0] if options else None,
        )

    @property
    def local(self) -> bool:
        """Whether it is on this machine: no wire, hence nobody who listens."""
        return self.host in _LOOPBACK

    def context(self) -> ssl.SSLContext:
        """Return the TLS context, which checks the server's certificate and name.

        One exception: for STARTTLS on this machine without a ``cafile``. A local relay's
        certificate seldom names localhost, and without TLS it would be talked to all the same.
        """
        try:
            context = ssl.create_default_context(cafile=self.cafile)
        except OSError as error:
            raise ConfigurationError(
                f"mail.transport: cannot read cafile {self.cafile}", hint="give a PEM file"
            ) from error
        if self.local and not self.tls and self.cafile is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def __str__(self) -> str:
        return f"{'smtps' if self.tls else 'smtp'}://{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"MailServer({self})"


def mailer_for(
    transport: Secret, sender: str, host: Host, connections_max: int = CONNECTIONS_MAX
) -> Mailer:
    """Return the mailer that the settings name; raises `ConfigurationError`."""
    try:
        sender_address(sender)
    except ValueError:
        raise ConfigurationError(
            "mail.sender is not one mailbox", hint='write it like "Shop <orders@shop.example>"'
        ) from None
    if transport.reveal() == MAILDIR:
        return Maildir(host.disk, host.clock, sender=sender)
    server = MailServer.parse(transport.reveal())
    try:
        from actors.notification.smtp import Smtp
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"mail.transport is {server}, and {error.name} is not installed",
            hint="pip install 'ordermill[smtp]' (in a checkout: pip install '.[smtp]')",
        ) from error
    return Smtp(server, host.clock, sender=sender, connections_max=connections_max)


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"mail.transport {why}", hint=_EXAMPLE)
