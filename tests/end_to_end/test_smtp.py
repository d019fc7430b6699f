"""Customers' mails over SMTP, from the setting to the mailbox."""

from pathlib import Path

from tests.harness.mail_server import mail_server
from tests.harness.system import live_system
from tests.harness.waiting import until


async def test_a_mail_that_is_refused_for_now_arrives_later_and_once(tmp_path: Path) -> None:
    account = ("shop@example.org", "hunter2-canary")
    async with mail_server(account=account) as server:
        server.replies["RCPT"].append("451 4.7.1 greylisted")
        url = f"smtp://shop%40example.org:{account[1]}@127.0.0.1:{server.port}"
        mail = {"transport": url, "sender": "Shop <orders@shop.example>"}
        async with live_system(tmp_path, mail=mail) as system:
            order = await system.place("pm_card_declined")
            await order.wait_for("payment-auth-failed")
            await until(lambda: len(server.received) == 2)
            await system.quiet()
            assert system.mails() == []
    assert {str(mail["To"]) for mail in server.received} == {"ada@example.org"}
    assert len({str(mail["Message-ID"]) for mail in server.received}) == 2
    assert sum("message.retry" in line for line in system.log) == 1
    assert not any("hunter2" in line or "ada@" in line for line in system.log)
