"""One operating system process that runs the whole system: opens, runs, closes, in this order."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from actors.credentials import load_credentials
from actors.notification.maildir import FOLDER as MAIL_FOLDER
from actors.parties import OpenParties, built_in_parties
from actors.settings import Settings
from actors.system import BROKER_FILE, EMBEDDED, FILES, Resources, System
from runtime.amqp.address import Address
from runtime.amqp.session import connect
from runtime.broker import journal
from runtime.database import open_database
from runtime.errors import EnvironmentUnready, Unavailable
from runtime.host import Host
from runtime.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Running:
    """A system that serves: where it is reached, and where its files are."""

    url: str
    broker: str
    data_dir: Path
    mail_dir: Path
    system: System


async def run_system(
    settings: Settings,
    host: Host,
    telemetry: Telemetry,
    *,
    stopping: anyio.Event,
    ready: Callable[[Running], None],
    open_parties: OpenParties = built_in_parties,
) -> None:
    """Serve until ``stopping`` is set and everything has stopped; ``ready`` is called once.

    Raises `ConfigurationError` where a setting or what it names cannot be used, and `StoreBroken`
    after a disk failure: then the process must end, and a new one finds what was committed.
    """
    async with _opened(settings, host, telemetry, open_parties) as system:
        await system.supervisor.run(stopping, started=lambda: ready(_running(system, settings)))


@asynccontextmanager
async def _opened(
    settings: Settings, host: Host, telemetry: Telemetry, open_parties: OpenParties
) -> AsyncIterator[System]:
    async with AsyncExitStack() as stack:
        credentials = await load_credentials(settings, host)
        files = dict(FILES)
        if settings.broker.url.reveal() == EMBEDDED:
            files[BROKER_FILE] = journal.MIGRATIONS
        databases = {
            file: await stack.enter_async_context(open_database(host.disk, file, migrations))
            for file, migrations in files.items()
        }
        parties = await stack.enter_async_context(open_parties(settings, host))
        yield System(Resources(settings, host, telemetry, credentials, parties, databases))


def _running(system: System, settings: Settings) -> Running:
    bind = settings.http.bind
    name = "127.0.0.1" if bind in ("0.0.0.0", "::") else bind  # noqa: S104 - read, not bound
    data_dir = Path(settings.data_dir)
    return Running(
        url=settings.http.public_url or f"http://{name}:{system.servers['gateway'].port}",
        broker=system.broker_name,
        data_dir=data_dir,
        mail_dir=data_dir / MAIL_FOLDER / "new",
        system=system,
    )


async def preflight(settings: Settings) -> None:
    """Connect to a configured broker once, so that a wrong address is an answer, not a wait.

    Raises `EnvironmentUnready`. Only a person's first start needs this: a running system waits for
    its broker, and keeps accepting orders meanwhile.
    """
    if settings.broker.url.reveal() == EMBEDDED:
        return
    address = Address.parse(settings.broker.url.reveal())
    try:
        session = await connect(address, settings.broker.heartbeat_s, "ordermill preflight", 0)
    except Unavailable as error:
        raise EnvironmentUnready(
            f"cannot reach the broker at {address}",
            hint="start RabbitMQ, or run without one: ordermill up --broker embedded "
            "(check everything: ordermill check)",
        ) from error
    await session.close()
