"""The secrets of one installation: given by the operator, or made once and kept.

In test mode a secret that is not configured is generated at the first start and kept in
``<data_dir>/secrets/<name>`` (mode 0600); in live mode every secret must be configured.
"""

import base64
import hmac
from collections.abc import Sequence

import msgspec

from actors.domain.order_events import Service
from actors.services import SERVICES, ServiceName
from actors.settings import Settings
from runtime.errors import ConfigurationError, EnvironmentUnready
from runtime.host import Host
from runtime.setting import Secret

SECRET_CHARACTERS_MIN = 32
_SHARE_A_TOKEN = ("gateway", "shipping")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Credentials(msgspec.Struct, frozen=True):
    """``secret`` signs access tokens; ``service_secret`` is the root of the services' tokens.

    A process that has only its own ``service_token`` (and ``shipping_token``, which the gateway and
    shipping share, or ``notification_token``, which it shares with notification) can be nobody
    else. ``broker_password`` is the embedded broker's; a RabbitMQ's
    stands in its URL.
    """

    secret: Secret
    operator_token: Secret
    viewer_token: Secret
    service_secret: Secret
    broker_password: Secret
    service_token: Secret = Secret("")
    shipping_token: Secret = Secret("")
    notification_token: Secret = Secret("")

    def of_service(self, service: Service) -> str:
        """Return the bearer token by which order-events knows the service."""
        return self.service_token.reveal() or self._derived(service)

    def at_shipping(self) -> str:
        """Return the bearer token by which shipping knows the gateway."""
        return self.shipping_token.reveal() or self._derived("gateway at shipping")

    def at_notification(self) -> str:
        """Return the bearer token by which notification knows the gateway; empty for none."""
        if self.notification_token or not self.service_secret:
            return self.notification_token.reveal()
        return self._derived("gateway at notification")

    def _derived(self, name: str) -> str:
        assert self.service_secret, "whoever has no root has its own token"
        return hmac.new(self.service_secret.reveal().encode(), name.encode(), "sha256").hexdigest()


async def load_credentials(
    settings: Settings, host: Host, services: Sequence[ServiceName] = SERVICES
) -> Credentials:
    """Return the configured secrets, and generated ones where test mode leaves them open.

    The gateway's own secrets are empty where ``services`` do not include it: a process is given
    only what it needs. The operator's token it may have: without it, it obeys no operator.
    """
    public = "gateway" in services
    given = settings.security
    if public and settings.http.bind not in LOOPBACK and not given.operator_token:
        raise ConfigurationError(
            f"http.bind is {settings.http.bind}: others can reach it, and a generated operator "
            "token is not for that",
            hint="set ORDERMILL_SECURITY_OPERATOR_TOKEN_FILE, or bind 127.0.0.1",
        )
    ours = {"secret": given.secret, "operator_token": given.operator_token}
    ours["viewer_token"] = given.viewer_token
    found = {
        key: await _secret(key, secret, settings, host) if public else Secret("")
        for key, secret in ours.items()
    }
    if not public and (settings.mode == "test" or given.operator_token):
        operator = await _secret("operator_token", given.operator_token, settings, host)
        found["operator_token"] = operator
    return Credentials(
        **found,
        **await _between_services(settings, host, services),
        broker_password=await _kept("broker-password", host),
    )


async def _between_services(
    settings: Settings, host: Host, services: Sequence[ServiceName]
) -> dict[str, Secret]:
    """Return the root of all tokens, or where the process's own token is given, that alone."""
    given = settings.security
    if not given.service_token:
        root = await _secret("service_secret", given.service_secret, settings, host)
        return {"service_secret": root}
    if len(services) != 1 or "order-events" in services:
        raise ConfigurationError(
            "security.service_token says which one service a process is, but this one runs "
            + ", ".join(services),
            hint="set ORDERMILL_SECURITY_SERVICE_SECRET_FILE for order-events, and for a process "
            "that runs several services",
        )
    found = {"service_secret": Secret("")}
    found["service_token"] = _checked("service_token", given.service_token)
    if services[0] in _SHARE_A_TOKEN:
        if not given.shipping_token:
            raise ConfigurationError(
                f"security.shipping_token is not set, and {services[0]} with a token of its own "
                "needs it",
                hint=f"ordermill tokens {services[0]} prints both",
            )
        found["shipping_token"] = _checked("shipping_token", given.shipping_token)
    if given.notification_token:  # without it there are no mails on the pages, and no harm done
        found["notification_token"] = _checked("notification_token", given.notification_token)
    return found


async def _secret(key: str, given: Secret, settings: Settings, host: Host) -> Secret:
    if given.reveal():
        return _checked(key, given)
    variable = f"ORDERMILL_SECURITY_{key.upper()}"
    if settings.mode == "live":
        raise ConfigurationError(
            f"security.{key} is not set, and live mode makes no secrets up",
            hint=f"set {variable} or {variable}_FILE to {SECRET_CHARACTERS_MIN}+ random characters",
        )
    return _checked(key, await _kept(key.replace("_", "-"), host))


async def _kept(name: str, host: Host) -> Secret:
    """Return the secret that was made first, by whichever process: all of them read it."""
    path = f"secrets/{name}"
    try:
        kept = await host.disk.read(path)
        if kept is None:
            made = base64.urlsafe_b64encode(host.random.randbytes(32)).rstrip(b"=")
            await host.disk.write_once(path, made)
            kept = await host.disk.read(path)
    except OSError as error:
        raise EnvironmentUnready(
            f"{host.disk.root / path} cannot be read or made: {error.strerror}",
            hint="data_dir must be on a disk with room, that this user may write to",
        ) from error
    assert kept is not None, "what is written once stays"
    return Secret(kept.decode("ascii", "replace").strip())


def _checked(key: str, secret: Secret) -> Secret:
    if len(secret.reveal()) < SECRET_CHARACTERS_MIN:
        raise ConfigurationError(
            f"security.{key} is too short: {SECRET_CHARACTERS_MIN} characters at least",
            hint="python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return secret
