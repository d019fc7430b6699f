import errno
import mailbox
from pathlib import Path
from typing import cast

import anyio
import pytest

from actors.notification.maildir import Maildir
from actors.notification.mailer import Mail
from runtime.errors import Unavailable
from runtime.host import Clock, Disk, production_host

MAIL = Mail("ada@example.org", "Hello", "text\n", "<p>text</p>\n")


class Moments:
    """A clock that says what it is told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def maildir(folder: Path, clock: Clock | None = None) -> Maildir:
    return Maildir(production_host(folder).disk, clock or Moments())


def read(folder: Path) -> list[mailbox.MaildirMessage]:
    with_folder = mailbox.Maildir(folder / "mail", create=False)
    return list(with_folder)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("mail/*/*"))


async def test_a_mail_client_finds_the_mail(tmp_path: Path) -> None:
    await maildir(tmp_path).send("key-1", MAIL)
    (message,) = read(tmp_path)
    assert (message["Subject"], message["To"]) == ("Hello", "ada@example.org")
    assert message.get_subdir() == "new"
    assert sorted(path.name for path in (tmp_path / "mail").iterdir()) == ["cur", "new", "tmp"]
    assert files(tmp_path) == ["key-1"]


async def test_the_first_mails_may_come_together(tmp_path: Path) -> None:
    mails = maildir(tmp_path)
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(mails.send, f"key-{number}", MAIL)
    assert files(tmp_path) == [f"key-{number}" for number in range(8)]


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    await maildir(tmp_path).send("key-1", MAIL)
    assert (tmp_path / "mail/new/key-1").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "mail/new").stat().st_mode & 0o077 == 0


async def test_the_same_key_is_written_once_with_its_first_date(tmp_path: Path) -> None:
    clock = Moments()
    await maildir(tmp_path, clock).send("key-1", MAIL)
    before = (tmp_path / "mail/new/key-1").read_bytes()
    clock.now += 3600
    await maildir(tmp_path, clock).send("key-1", MAIL)
    assert (tmp_path / "mail/new/key-1").read_bytes() == before
    await maildir(tmp_path, clock).send("key-2", MAIL)
    dates = {str(message["Date"]) for message in read(tmp_path)}
    assert dates == {"Tue, 14 Nov 2023 22:13:20 +0000", "Tue, 14 Nov 2023 23:13:20 +0000"}


async def test_a_mail_that_was_looked_at_counts_as_sent(tmp_path: Path) -> None:
    sent = maildir(tmp_path)
    await sent.send("key-1", MAIL)
    (tmp_path / "mail/new/key-1").rename(tmp_path / "mail/cur/key-1:2,S")
    await sent.send("key-1", MAIL)
    assert files(tmp_path) == ["key-1:2,S"]
    await sent.send("key", MAIL)
    assert len(read(tmp_path)) == 2


async def test_erasing_removes_a_mail_wherever_it_is(tmp_path: Path) -> None:
    sent = maildir(tmp_path)
    for key in ("key-1", "key-2", "key-3"):
        await sent.send(key, MAIL)
    (tmp_path / "mail/new/key-1").rename(tmp_path / "mail/cur/key-1:2,RS")
    for key in ("key-1", "key-2", "key-2", "never-sent"):
        await sent.erase(key)
    assert files(tmp_path) == ["key-3"]


@pytest.mark.parametrize("key", ["", ".hidden", "../key", "a/b", "a:2,S", "a\nb", "k" * 201])
async def test_a_key_that_is_no_file_name_is_our_bug(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="name of a file"):
        await maildir(tmp_path).send(key, MAIL)


async def test_a_folder_that_cannot_be_written_is_no_mails_fault(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file where the folder should be")
    with pytest.raises(Unavailable) as failed:
        await maildir(tmp_path).send("key-1", MAIL)
    assert not failed.value.gives_up


class FailingSync:
    """A disk that has written the mail and then cannot say that its name is there for good."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.written: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._disk, name)

    async def write_new(self, name: str, data: bytes) -> None:
        await self._disk.write_new(name, data)
        self.written.append(name)
        if data and self.written.count(name) == 1:
            raise OSError(errno.EIO, "Input/output error")


async def test_a_name_that_may_not_be_on_the_disk_does_not_count_as_sent(tmp_path: Path) -> None:
    """The next attempt finds the file, and syncs its folder before it says that it is there."""
    disk = FailingSync(production_host(tmp_path).disk)
    mails = Maildir(cast("Disk", disk), Moments())
    with pytest.raises(Unavailable, match="Input/output error"):
        await mails.send("key-1", MAIL)
    assert files(tmp_path) == ["key-1"]
    synced = disk.written.count("mail/new/.made")
    await mails.send("key-1", MAIL)
    assert disk.written.count("mail/new/.made") == synced + 1
    assert disk.written.count("mail/new/key-1") == 1


async def test_what_a_killed_process_had_begun_is_erased_too(tmp_path: Path) -> None:
    mails = maildir(tmp_path)
    await mails.send("key-1", MAIL)
    draft = tmp_path / "mail/new/.key-2.draft"
    draft.write_bytes(b"To: ada@example.org")
    await mails.erase("key-2")
    assert not draft.exists()
    assert files(tmp_path) == ["key-1"]


async def test_the_latest_mails_are_shown_wherever_they_are_newest_first(tmp_path: Path) -> None:
    clock = Moments()
    mails = maildir(tmp_path, clock)
    assert await mails.latest(10) == []
    for number in range(4):
        clock.now += 60
        await mails.send(f"ord_{number}.evt.order-received", MAIL)
    folder = tmp_path / "mail"
    (folder / "new" / "ord_2.evt.order-received").rename(
        folder / "cur" / "ord_2.evt.order-received:2,S"
    )
    shown = await mails.latest(3)
    assert [mail.key.partition(".")[0] for mail in shown] == ["ord_3", "ord_2", "ord_1"]
    assert (shown[0].to, shown[0].subject) == (MAIL.to, MAIL.subject)
    assert (shown[0].text, shown[0].at_ms) == ("text\n", int(clock.now * 1000))


async def test_a_mail_whose_text_was_damaged_is_shown_all_the_same(tmp_path: Path) -> None:
    await maildir(tmp_path).send("key-1", MAIL)
    there = tmp_path / "mail" / "new" / "key-1"
    there.write_bytes(there.read_bytes().replace(b"\ntext\n", b"\nt=FFxt\n", 1))
    (shown,) = await maildir(tmp_path).latest(1)
    assert (shown.subject, shown.text) == ("Hello", "t\ufffdxt\n")
