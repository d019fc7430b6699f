"""Mails handed to a real SMTP server, which takes them, refuses them, or goes away."""

import socket
from pathlib import Path

import anyio
import pytest

from actors.notification.mailer import Mail
from actors.notification.rfc5322 import message_id
from actors.notification.smtp import Smtp
from actors.notification.transport import MailServer as Server
from runtime.errors import Unavailable, Unprocessable
from tests.actors.notification.parties import parties_in
from tests.harness.mail_server import MailServer, certificate, mail_server

MAIL = Mail("ada@example.org", "Hello", "text\n.\nmore\n", "<p>text</p>\n", {"X-Kind": "test"})
ACCOUNT = ("shop@example.org", "hunter2-canary")
SENDER = "Shop <orders@shop.example>"


class Noon:
    """A clock that has stopped."""

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1_700_000_000.0


def smtp(url: str, *, connections_max: int = 4, **limits: float) -> Smtp:
    return Smtp(Server.parse(url), Noon(), sender=SENDER, connections_max=connections_max, **limits)


def with_account(server: MailServer, password: str = ACCOUNT[1]) -> str:
    return f"smtp://shop%40example.org:{password}@127.0.0.1:{server.port}"


async def test_both_alternatives_arrive_and_the_sender_is_the_envelope_s(tmp_path: Path) -> None:
    async with mail_server() as server:
        await smtp(server.url).send("key-1", MAIL)
    (mail,) = server.received
    assert server.senders == ["orders@shop.example"]
    assert server.greetings == ["shop.example"]
    assert mail["From"] == SENDER
    assert mail["Message-ID"] == message_id("key-1", SENDER)
    assert mail["X-Kind"] == "test"
    assert mail.defects == []
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == MAIL.text.splitlines()
    assert html.get_content().splitlines() == MAIL.html.splitlines()
    assert b"\n" not in server.raw[0].replace(b"\r\n", b"")


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_temporary_refusal_is_tried_again_with_the_same_message_id(command: str) -> None:
    async with mail_server() as server:
        server.replies[command].append("451 4.3.0 come back later")
        mailer = smtp(server.url)
        with pytest.raises(Unavailable, match=r"451 4\.3\.0"):
            await mailer.send("key-1", MAIL)
        assert server.received == []
        await mailer.send("key-1", MAIL)
    assert [mail["Message-ID"] for mail in server.received] == [message_id("key-1", SENDER)]


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_refusal_for_good_names_the_code_and_nobody(command: str) -> None:
    async with mail_server() as server:
        server.replies[command].append("550 5.1.1 <ADDRESS> ada@example.org: no such user")
        with pytest.raises(Unprocessable) as caught:
            await smtp(server.url).send("key-1", MAIL)
    assert caught.value.reason == "mail-refused"
    assert "550 5.1.1" in str(caught.value)
    assert "ada" not in f"{caught.value} {caught.value.__cause__}"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL", "550 5.7.1 not this sender"),
        ("RCPT", "530 5.7.0 log in first"),
        ("RCPT", "421 4.3.2 shutting down"),
        ("DATA", "nonsense"),
    ],
)
async def test_what_an_operator_can_put_right_is_no_fault_of_the_mail(
    command: str, reply: str
) -> None:
    async with mail_server() as server:
        server.replies[command].append(reply)
        with pytest.raises(Unavailable):
            await smtp(server.url).send("key-1", MAIL)


async def test_a_connection_lost_after_the_data_may_send_twice_the_same_mail() -> None:
    async with mail_server() as server:
        server.cut_after_data = 1
        mailer = smtp(server.url)
        with pytest.raises(Unavailable):
            await mailer.send("key-1", MAIL)
        await mailer.send("key-1", MAIL)
    first, second = server.raw
    assert first == second
    assert server.received[0]["Message-ID"] == message_id("key-1", SENDER)


@pytest.mark.parametrize("limits", [{"reply_s_max": 0.2}, {"send_s_max": 0.2}])
async def test_a_server_that_never_answers_is_not_waited_for(limits: dict[str, float]) -> None:
    async with mail_server() as server:
        server.hanging = True
        with pytest.raises(Unavailable):
            await smtp(server.url, **limits).send("key-1", MAIL)


async def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"smtp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unavailable, match="refused"):
            await smtp(url).send("key-1", MAIL)
    with pytest.raises(Unavailable, match="cannot be used"):
        await smtp("smtp://nowhere.invalid").send("key-1", MAIL)


async def test_it_logs_in_where_there_is_an_account() -> None:
    async with mail_server(account=ACCOUNT) as server:
        with pytest.raises(Unavailable, match="530"):
            await smtp(server.url).send("key-1", MAIL)
        await smtp(with_account(server)).send("key-1", MAIL)
        assert len(server.received) == 1
        with pytest.raises(Unavailable, match="SMTPAuthenticationError 535") as caught:
            await smtp(with_account(server, "wrong-canary")).send("key-2", MAIL)
        assert "canary" not in f"{caught.value} {smtp(with_account(server))._server!r}"
        assert len(server.received) == 1


async def test_a_password_is_not_sent_in_clear_over_a_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.notification.transport._LOOPBACK", ())
    async with mail_server(account=ACCOUNT) as server:
        with pytest.raises(Unavailable, match="not sent in clear"):
            await smtp(with_account(server)).send("key-1", MAIL)
    assert server.received == []


async def test_starttls_is_used_where_it_is_offered(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    async with mail_server(starttls=context, account=ACCOUNT) as server:
        await smtp(with_account(server)).send("key-1", MAIL)
        await smtp(f"{with_account(server)}?cafile={trusted}").send("key-2", MAIL)
    assert server.encrypted == [True, True]


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _ = certificate(tmp_path)
    monkeypatch.setattr("actors.notification.transport._LOOPBACK", ())
    async with mail_server(starttls=context, account=ACCOUNT) as server:
        with pytest.raises(Unavailable, match="certificate"):
            await smtp(with_account(server)).send("key-1", MAIL)
    assert server.received == []


async def test_smtps_checks_the_certificate_also_on_this_machine(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    async with mail_server(smtps=context) as server:
        url = server.url.replace("smtp:", "smtps:")
        with pytest.raises(Unavailable, match="certificate"):
            await smtp(url).send("key-1", MAIL)
        await smtp(f"{url}?cafile={trusted}").send("key-1", MAIL)
    assert len(server.received) == 1


async def send_many(mailer: Smtp, count: int) -> list[Exception]:
    failures: list[Exception] = []

    async def send(number: int) -> None:
        try:
            await mailer.send(f"key-{number}", MAIL)
        except (Unavailable, Unprocessable) as failure:
            failures.append(failure)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(send, number)
    return failures


async def test_mails_that_wait_share_the_connections(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with mail_server(starttls=context, account=ACCOUNT) as server:
        assert await send_many(smtp(with_account(server), connections_max=3), 30) == []
        assert server.connections == 3
        assert {mail["Message-ID"] for mail in server.received} == {
            message_id(f"key-{number}", SENDER) for number in range(30)
        }
        assert len(server.received) == 30
        assert set(server.encrypted) == {True}


@pytest.mark.parametrize("abrupt", [False, True])
async def test_a_server_that_has_had_enough_of_a_connection_gets_another(abrupt: bool) -> None:
    async with mail_server() as server:
        server.mails_max, server.abrupt = 2, abrupt
        assert await send_many(smtp(server.url, connections_max=1), 10) == []
        assert server.connections == 5
        assert len({mail["Message-ID"] for mail in server.received}) == 10
        assert len(server.received) == 10


async def test_what_is_refused_on_a_new_connection_too_is_refused() -> None:
    async with mail_server() as server:
        server.mails_max = 0
        (failure,) = await send_many(smtp(server.url), 1)
        assert "421 4.7.0" in str(failure)


async def test_a_refused_mail_leaves_nothing_to_the_next_one() -> None:
    async with mail_server() as server:
        server.replies["RCPT"].append("550 5.1.1 no such user")
        (failure,) = await send_many(smtp(server.url, connections_max=1), 4)
        assert isinstance(failure, Unprocessable)
        assert len(server.received) == 3
        assert server.connections == 2


async def test_a_connection_is_not_kept_for_a_mail_that_may_come() -> None:
    async with mail_server() as server:
        mailer = smtp(server.url)
        await mailer.send("key-1", MAIL)
        await mailer.send("key-2", MAIL)
        assert server.connections == 2


async def test_a_mail_refused_for_good_is_recorded_and_never_tried_again(tmp_path: Path) -> None:
    async with mail_server() as server, parties_in(tmp_path) as parties:
        server.replies["RCPT"].append("550 5.1.1 no such user")
        order_id = await parties.shop.place()
        message = await parties.shop.message(order_id, "order-created")
        with pytest.raises(Unprocessable):
            await parties.runs.deliver(message, parties.service(mailer=smtp(server.url)).route())
        (entry,) = await parties.entries(order_id)
        assert (entry.state, entry.reason) == ("skipped", "mail-refused")
        await parties.runs.deliver(message, parties.service(mailer=smtp(server.url)).route())
    assert server.received == []


async def test_an_erasure_has_nothing_left_to_remove() -> None:
    await smtp("smtp://mail.example").erase("key-1")
