"""The broker's address, checked once: what aiormq would guess in silence is refused here.

aiormq 7.2.4 turns missing credentials into ``guest``, switches certificate checks *off* for
``no_verify_ssl=false``, and reads a misspelt heartbeat as "none" (connection.py, auth.py). So the
URL may carry the account and the place only; the heartbeat is a setting, the TLS context is ours.
"""

import ssl
from typing import Self

import msgspec
from yarl import URL

from runtime.errors import ConfigurationError

_SCHEMES = {"amqp": 5672, "amqps": 5671}
_EXAMPLE = "write it like amqp://user:password@host:5672/vhost"


class Address(msgspec.Struct, frozen=True):
    """Where the broker is and who we are there. Its text form hides the password."""

    url: URL
    cafile: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``amqp[s]://user:password@host[:port]/vhost``; raises `ConfigurationError`.

        The one query parameter allowed is ``cafile`` (with ``amqps``): the certificate authorities
        to trust instead of the system's.
        """
        try:
            url = URL(text)
            port = url.port
        except ValueError:
            # The library's error quotes what it could not read: that may be the password.
            raise ConfigurationError("broker.url is not a URL", hint=_EXAMPLE) from None
        if url.scheme not in _SCHEMES or not url.host:
            raise ConfigurationError(
                f"broker.url must be amqp:// or amqps:// and name a host, not {url.scheme!r}",
                hint=_EXAMPLE,
            )
        if not url.user or not url.password:
            raise ConfigurationError(
                "broker.url names no user and password: none is assumed", hint=_EXAMPLE
            )
        _refuse_options(url)
        plain = url.with_query(None).with_port(port or _SCHEMES[url.scheme])
        return cls(plain, url.query.get("cafile"))

    def dial(self, heartbeat_s: int, name: str) -> URL:
        """Return the URL that aiormq is given, with nothing left for it to assume."""
        return self.url.with_query({"heartbeat": str(heartbeat_s), "name": name})

    def tls(self) -> ssl.SSLContext | None:
        """Return a context that checks the peer's certificate and name; None without TLS."""
        if self.url.scheme != "amqps":
            return None
        try:
            return ssl.create_default_context(cafile=self.cafile)
        except OSError as error:
            raise ConfigurationError(
                f"broker.url: cannot read cafile {self.cafile}", hint="give a PEM file"
            ) from error

    @property
    def vhost(self) -> str:
        """The virtual host's name, as aiormq reads it: without a path it is ``/``."""
        return self.url.path[1:].replace("%2F", "/") or "/"

    def __str__(self) -> str:
        return str(self.url.with_password("***"))

    def __repr__(self) -> str:
        return f"Address({self})"


def _refuse_options(url: URL) -> None:
    for option in url.query:
        if option != "cafile":
            raise ConfigurationError(
                f"broker.url: the option {option!r} is not allowed in the URL",
                hint="set broker.heartbeat_s instead"
                if option == "heartbeat"
                else "certificates are always checked; remove the option",
            )
    if "cafile" in url.query and url.scheme != "amqps":
        raise ConfigurationError("broker.url: cafile needs amqps://", hint="use amqps://")
