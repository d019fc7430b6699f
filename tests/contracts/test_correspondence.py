"""What every implementation of `Correspondence` does, however it reaches the notification service.

To add an implementation, add to `IMPLEMENTATIONS` a context manager that gives a client of the
notification service that is running.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from quart import Quart

from actors.domain.correspondence import Correspondence
from actors.notification.correspondence import LocalCorrespondence
from actors.notification.http_client import HttpCorrespondence
from actors.notification.letters import Letters
from actors.notification.rest import notification_app
from actors.service_client import ServiceClient
from runtime.errors import Unavailable
from runtime.telemetry import quiet_telemetry
from tests.actors.notification.parties import Parties, parties_in
from tests.harness.running import running
from tests.harness.waiting import eventually

TOKEN = "the gateway's token"
URL = "https://shop.example/o/ord_1.edit.1.x"
Connect = Callable[[LocalCorrespondence], AbstractAsyncContextManager[Correspondence]]


def app_over(correspondence: LocalCorrespondence, token: str = TOKEN) -> Quart:
    async def status() -> object:
        return {}

    return notification_app(
        correspondence, token=token, checks={}, telemetry=quiet_telemetry(), status=status
    )


@asynccontextmanager
async def client_of(app: Quart) -> AsyncIterator[ServiceClient]:
    transport = httpx.ASGITransport(app=app)
    async with aclosing(ServiceClient("http://notification", transport)) as http:
        yield http


@asynccontextmanager
async def _asked(local: LocalCorrespondence) -> AsyncIterator[Correspondence]:
    yield local


@asynccontextmanager
async def _http(local: LocalCorrespondence) -> AsyncIterator[Correspondence]:
    async with client_of(app_over(local)) as http:
        yield HttpCorrespondence(http, TOKEN)


IMPLEMENTATIONS: dict[str, Connect] = {"asked": _asked, "http": _http}


def local_of(parties: Parties, mailer: object = None) -> LocalCorrespondence:
    return LocalCorrespondence(
        parties.shop.notification,
        mailer or parties.maildir,
        Letters(),
        parties.runs.database,
        parties.shop.host.clock,
    )


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def connect(request: pytest.FixtureRequest) -> Connect:
    return IMPLEMENTATIONS[request.param]


async def test_mails_about_an_order_are_told_of(connect: Connect, tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties, connect(local_of(parties)) as client:
        order_id = await parties.shop.place()
        assert await client.about(order_id) == []
        await parties.notify(order_id, "order-created")
        (mail,) = await client.about(order_id)
        assert (mail.template, mail.state) == ("order-received", "sent")
        assert await client.about("ord_nothing") == []
        (shown,) = await client.mailbox(10) or ()
        assert "We received your order" in shown.subject
        assert shown.to == str((await parties.inbox())[0]["To"])
        assert shown.at_ms > 1_500_000_000_000


async def test_a_link_is_mailed_once_however_often_it_is_asked_for(
    connect: Connect, tmp_path: Path
) -> None:
    async with parties_in(tmp_path) as parties:
        local = local_of(parties)
        order_id = await parties.shop.place()
        async with running(local.child().run), connect(local) as client:
            await client.send_link(None, URL)
            for _ in range(3):
                await client.send_link(order_id, URL)

            async def sent() -> bool:
                return [row.state for row in await client.about(order_id)] == ["sent"]

            await eventually(sent)
        (shown,) = await client_mails(local)
        assert URL in shown
        assert await parties.templates() == ["order-link"]


async def client_mails(local: LocalCorrespondence) -> list[str]:
    return [mail.text for mail in await local.mailbox(10) or ()]


async def test_an_erased_order_gets_no_link(connect: Connect, tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties:
        local = local_of(parties)
        order_id, other = await parties.shop.place(), await parties.shop.place()
        await parties.service().erase(order_id)
        async with running(local.child().run), connect(local) as client:
            await client.send_link(order_id, URL)
            await client.send_link(other, URL)

            async def sent() -> bool:
                return [row.state for row in await client.about(other)] == ["sent"]

            await eventually(sent)  # links are written in turn: the first one is done with, too
        assert len(await parties.inbox()) == 1


async def test_where_mails_leave_the_machine_there_is_no_mailbox(
    connect: Connect, tmp_path: Path
) -> None:
    class Elsewhere:
        async def send(self, key: str, mail: object, *, again: bool = True) -> None: ...

        async def erase(self, key: str) -> None: ...

    async with parties_in(tmp_path) as parties, connect(local_of(parties, Elsewhere())) as client:
        assert await client.mailbox(10) is None


async def test_more_than_there_is_room_for_is_refused(connect: Connect, tmp_path: Path) -> None:
    async with parties_in(tmp_path) as parties, connect(local_of(parties)) as client:

        async def flood() -> None:
            for _ in range(100):
                await client.send_link(None, URL)

        with pytest.raises(Unavailable):
            await flood()


@pytest.mark.parametrize(("ours", "theirs"), [(TOKEN, "another"), ("", ""), ("", TOKEN)])
async def test_without_the_gateways_token_nothing_is_told(
    tmp_path: Path, ours: str, theirs: str
) -> None:
    async with (
        parties_in(tmp_path) as parties,
        client_of(app_over(local_of(parties), ours)) as http,
    ):
        client = HttpCorrespondence(http, theirs)
        for call in (client.about("ord_1"), client.mailbox(1), client.send_link(None, URL)):
            with pytest.raises(Unavailable):
                await call
        for path in ("/internal/v1/mails", "/internal/v1/mails/about/x"):
            assert (await http.request("GET", path, timeout_s=2.0)).status_code == 401


async def test_a_service_that_is_away_or_nowhere_is_unavailable() -> None:
    def away(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    def babbling(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"<html>")

    with pytest.raises(Unavailable, match=r"notification\.url"):
        await HttpCorrespondence(None, TOKEN).about("ord_1")
    for handler in (away, babbling):
        transport = httpx.MockTransport(handler)
        async with aclosing(ServiceClient("http://n", transport)) as http:
            with pytest.raises(Unavailable):
                await HttpCorrespondence(http, TOKEN).about("ord_1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"order_id":null}',
        b'{"order_id":null,"url":"ftp://x"}',
        b'{"order_id":1,"url":"http://x"}',
        b'{"order_id":null,"url":"http://x y"}',
    ],
)
async def test_a_request_that_is_none_is_refused(tmp_path: Path, body: bytes) -> None:
    async with parties_in(tmp_path) as parties, client_of(app_over(local_of(parties))) as http:
        path = "/internal/v1/mails/links"
        answer = await http.request("POST", path, token=TOKEN, body=body, timeout_s=2.0)
        assert answer.status_code == 422
