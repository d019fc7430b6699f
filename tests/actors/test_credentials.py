"""Secrets: made once whoever is first, kept private, and only what a process needs."""

import stat
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from actors.credentials import load_credentials
from actors.domain.order_events import Service
from actors.services import ServiceName
from actors.settings import Http, Security, Settings
from runtime.errors import ConfigurationError, EnvironmentUnready
from runtime.host import production_host
from runtime.setting import Secret

PROGRAM = """
import sys, anyio
from pathlib import Path
from actors.credentials import load_credentials
from actors.settings import Settings
from runtime.host import production_host
host = production_host(Path(sys.argv[1]))
sys.stdin.readline()
found = anyio.run(load_credentials, Settings(), host)
print(found.secret.reveal(), found.service_secret.reveal(), found.broker_password.reveal())
"""


def test_processes_that_start_at_once_find_the_same_secrets(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"now\n")
        process.stdin.flush()
    told = {process.communicate(timeout=60)[0] for process in started}
    assert len(told) == 1
    assert len(told.pop().split()) == 3
    kept = sorted((tmp_path / "secrets").iterdir())
    assert [path.name for path in kept] == [
        "broker-password",
        "operator-token",
        "secret",
        "service-secret",
        "viewer-token",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


async def test_only_the_gateway_is_given_the_secrets_of_the_public_api(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    found = await load_credentials(Settings(), host, ("payment",))
    assert not found.secret
    assert not found.viewer_token
    assert found.service_secret
    assert not (tmp_path / "secrets" / "viewer-token").exists()


async def test_live_mode_asks_a_service_for_its_own_secrets_only(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    given = Settings(mode="live", security=Security(service_secret=Secret("x" * 40)))
    await load_credentials(given, host, ("payment", "shipping"))
    with pytest.raises(ConfigurationError, match=r"security.secret is not set"):
        await load_credentials(given, host, ("gateway",))
    with pytest.raises(ConfigurationError, match=r"security.service_secret is not set"):
        await load_credentials(Settings(mode="live"), host, ("payment",))


async def test_a_public_address_is_the_gateways_business(tmp_path: Path) -> None:
    host = production_host(tmp_path)
    public = Settings(http=Http(bind="0.0.0.0"))
    await load_credentials(public, host, ("payment",))
    with pytest.raises(ConfigurationError, match="operator"):
        await load_credentials(public, host, ("gateway",))


async def test_a_token_tells_its_service_and_no_other(tmp_path: Path) -> None:
    found = await load_credentials(Settings(), production_host(tmp_path))
    assert len({found.of_service(name) for name in ("gateway", "payment", "shipping")}) == 3
    assert found.at_shipping() not in {found.of_service(name) for name in get_args(Service)}


async def test_with_its_own_token_a_process_needs_no_root_and_can_be_nobody_else(
    tmp_path: Path,
) -> None:
    host = production_host(tmp_path)
    root = await load_credentials(Settings(), host, ("order-events",))
    alone = Security(
        service_token=Secret(root.of_service("gateway")), shipping_token=Secret(root.at_shipping())
    )
    (tmp_path / "secrets" / "service-secret").unlink()
    found = await load_credentials(Settings(security=alone), host, ("gateway",))
    assert found.of_service("gateway") == root.of_service("gateway")
    assert found.at_shipping() == root.at_shipping()
    assert not found.service_secret
    assert not (tmp_path / "secrets" / "service-secret").exists()


@pytest.mark.parametrize("services", [("order-events",), ("payment", "notification")])
async def test_a_token_of_one_service_is_not_for_several(
    tmp_path: Path, services: tuple[ServiceName, ...]
) -> None:
    settings = Settings(security=Security(service_token=Secret("x" * 40)))
    with pytest.raises(ConfigurationError, match=", ".join(services)):
        await load_credentials(settings, production_host(tmp_path), services)


async def test_the_gateway_and_shipping_share_a_token_that_must_be_given_too(
    tmp_path: Path,
) -> None:
    settings = Settings(security=Security(service_token=Secret("x" * 40)))
    await load_credentials(settings, production_host(tmp_path), ("notification",))
    with pytest.raises(ConfigurationError, match=r"security\.shipping_token is not set"):
        await load_credentials(settings, production_host(tmp_path), ("shipping",))


async def test_the_gateway_and_notification_share_a_token_that_they_can_do_without(
    tmp_path: Path,
) -> None:
    host = production_host(tmp_path)
    root = await load_credentials(Settings(), host)
    assert root.at_notification() not in {root.at_shipping(), root.of_service("notification")}
    alone = Security(service_token=Secret("x" * 40))
    found = await load_credentials(Settings(security=alone), host, ("notification",))
    assert found.at_notification() == ""
    given = Security(
        service_token=Secret("x" * 40), notification_token=Secret(root.at_notification())
    )
    found = await load_credentials(Settings(security=given), host, ("notification",))
    assert found.at_notification() == root.at_notification()


async def test_a_secret_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file where the folder should be")
    with pytest.raises(EnvironmentUnready, match="secrets/secret cannot be read or made: Not a"):
        await load_credentials(Settings(), production_host(tmp_path))
