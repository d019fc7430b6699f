"""The post office lets a copy pass that a kill explains, and no other."""

import smtplib
from collections import Counter
from email.message import EmailMessage
from pathlib import Path

import anyio.to_thread
import msgspec
import pytest

from sim.judges.checker import INVARIANTS, Finding, check
from sim.judges.evidence import Evidence
from tests.chaos.post_office import Mail, PostOffice, delivered, invariants, second_copies
from tests.harness.mail_server import mail_server
from tests.sim.judges.sound import sound

NAME = "a_second_copy_is_from_a_kill_in_its_exchange"


def judged(evidence: Evidence, *interrupted: Mail) -> Finding:
    """Return how the claim about second copies fares, after these mails were interrupted."""
    findings = check(evidence, invariants(Counter(interrupted)))
    (finding,) = [finding for finding in findings if finding.name == NAME]
    return finding


def with_a_second_copy(**changes: str) -> tuple[Evidence, Mail]:
    evidence = sound()
    mail = evidence.mails[0]
    evidence.mails.append(msgspec.structs.replace(mail, **changes))
    return evidence, (mail.order_id, mail.template)


def test_it_takes_the_place_of_one_claim_and_holds_without_a_second_copy() -> None:
    names = {invariant.__name__ for invariant in invariants(Counter())}
    usual = {invariant.__name__ for invariant in INVARIANTS}
    assert (usual - names, names - usual) == ({"no_mail_twice"}, {NAME})
    assert judged(sound()).green


def test_a_second_copy_needs_a_kill_inside_its_own_exchange() -> None:
    evidence, mail = with_a_second_copy()
    assert second_copies(evidence) == 1
    assert judged(evidence, mail).green
    assert judged(evidence).breaches
    assert judged(evidence, (mail[0], "another-template")).breaches


def test_each_copy_more_needs_a_kill_more() -> None:
    evidence, mail = with_a_second_copy()
    evidence.mails.append(evidence.mails[0])
    assert judged(evidence, mail).breaches
    assert judged(evidence, mail, mail).green


def test_a_copy_under_another_message_id_is_another_mail() -> None:
    evidence, mail = with_a_second_copy(message_id="<other@ordermill.invalid>")
    assert judged(evidence, mail).breaches


def test_two_mails_under_one_message_id_would_hide_each_other() -> None:
    evidence = sound()
    evidence.mails[1] = msgspec.structs.replace(
        evidence.mails[1], message_id=evidence.mails[0].message_id
    )
    assert judged(evidence).breaches


@pytest.mark.parametrize("times", [1, 2])
async def test_every_copy_that_was_acknowledged_is_in_its_books(tmp_path: Path, times: int) -> None:
    evidence = sound()
    mail = evidence.mails[0]
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "shop@ordermill.invalid", mail.to, "Yours"
    letter["Message-ID"] = mail.message_id
    letter["X-Ordermill-Order"], letter["X-Ordermill-Template"] = mail.order_id, mail.template
    office = PostOffice(tmp_path, seed=1)

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", office.port) as server:
            server.send_message(letter)

    async with mail_server(state=office):
        for _ in range(times):
            await anyio.to_thread.run_sync(send)
    found = delivered(tmp_path, evidence)
    office.close()
    assert found == [msgspec.structs.replace(mail, subject="Yours")] * times
