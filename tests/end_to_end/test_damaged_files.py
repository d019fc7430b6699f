"""Files that are damaged, disks that fail at the start, and the way back from a backup."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.command import FREE_PORTS, MAIN, environment, serving
from tests.harness.faulty_disk import Fault, fill, need_strace, small_disk, suffering
from tests.harness.operating import Operator

PAGE = 4096
README = Path(__file__).parents[2] / "README.md"


def damage(file: Path, first_page: int = 2) -> None:
    """Overwrite all but the first pages, under whoever has the file open."""
    with file.open("r+b") as pages:
        pages.seek((first_page - 1) * PAGE)
        pages.write(os.urandom(file.stat().st_size - (first_page - 1) * PAGE))


def start(folder: Path, fault: Fault | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``ordermill up``, which is not to come far, where ``fault`` happens."""
    command = [*MAIN, *FREE_PORTS, "up"]
    if fault is not None:
        command = suffering(fault, folder / "strace.log", command)
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("call", "number", "file", "code", "said"),
    [
        # While the mode changes: that this failed was lost with the cursor of a PRAGMA once.
        (
            "fdatasync",
            1,
            "orders.db-journal",
            74,
            "data/orders.db cannot be opened: disk I/O error",
        ),
        ("fdatasync", 2, "orders.db-wal", 74, "data/orders.db cannot be opened: disk I/O error"),
        ("pwrite64", 1, "broker.db-wal", 74, "data/broker.db cannot be opened: disk I/O error"),
    ],
)
def test_a_disk_that_fails_at_the_start_is_named(
    tmp_path: Path, call: str, number: int, file: str, code: int, said: str
) -> None:
    need_strace()
    fault = Fault(call, "error=EIO", str(number), tmp_path / "data" / file)
    ended = start(tmp_path, fault)
    assert (ended.returncode, said in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hint: check the disk" in ended.stderr


def test_without_room_nothing_is_started_and_it_says_why(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "200k") as disk:
        ended = start(tmp_path)
        assert ended.returncode == 3, ended.stderr
        assert "cannot be opened: database or disk is full" in ended.stderr
        assert "hint: make room on its disk" in ended.stderr
        shutil.rmtree(disk / "secrets")
        fill(disk)
        ended = start(tmp_path)
        assert ended.returncode == 3
        assert "cannot be read or made: No space left on device" in ended.stderr


def test_a_file_damaged_under_a_running_system_ends_it_and_keeps_it_from_starting(
    tmp_path: Path,
) -> None:
    operator = Operator(tmp_path)
    with operator.up() as command:
        operator.place("--wait", "prepared")
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    with operator.up() as command:
        damage(tmp_path / "data" / "orders.db")
        operator.run("order", "list")
        assert command.ended() == 74, command.output
        assert (
            "error: data/orders.db is damaged: database disk image is malformed" in command.output
        )
        assert "restore the newest backup" in command.output
        assert "Traceback" not in command.output
    with serving("up", cwd=tmp_path) as command:
        assert command.ended() == 3
        assert "error: data/orders.db is damaged: " in command.output
        assert "restore the newest backup" in command.output
    checked = operator.run("check", "--only", "store")
    assert (checked.returncode, "FAIL  store" in checked.stdout) == (3, True)
    verified = operator.run("events", "verify")
    assert verified.returncode == 1
    assert "FAIL  the file is damaged" in verified.stdout


def restore_commands() -> str:
    """Return what the README says to do, with this folder's names."""
    (block,) = re.findall(r"```sh\n(mv data data\.damaged.*?)```", README.read_text(), re.DOTALL)
    return str(block)


def test_restore_drill(tmp_path: Path) -> None:
    """From a damaged store back to a serving one, by the README; what came later is lost."""
    operator = Operator(tmp_path)
    with operator.up() as command:
        kept = [operator.place("--wait", "prepared") for _ in range(2)]
        operator.ok("store", "backup", "backup")
        lost = operator.place("--wait", "prepared", "--idempotency-key", "the-third")
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    damage(tmp_path / "data" / "orders.db")
    with serving("up", cwd=tmp_path) as command:
        assert command.ended() == 3
    commands = restore_commands()
    copying, verifying = commands.splitlines()[:-1], commands.splitlines()[-1]
    subprocess.run(["sh", "-ec", "\n".join(copying)], cwd=tmp_path, check=True)
    assert verifying.split("#")[0].strip() == ".venv/bin/ordermill events verify"
    assert operator.json("events", "verify")["events"] == 10
    with operator.up():
        for order_id in kept:
            assert operator.json("order", "show", order_id)["status"] == "prepared"
        gone = operator.run("order", "show", lost)
        assert gone.returncode == 1
        assert "not-found" in gone.stderr + gone.stdout
        again = operator.place("--wait", "prepared", "--idempotency-key", "the-third")
        assert again != lost
        assert "0 messages" in operator.ok("outbox", "reoffer", "--older-than", "0s")
    assert operator.json("events", "verify")["orders"] == 3
