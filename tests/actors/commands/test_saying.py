"""Output that cannot be written: a command that serves goes on, one that tells says that it failed.

``/dev/full`` answers each write with "no space left on device", like a log on a full disk.
"""

import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.harness.command import MAIN, PATIENCE_S, environment
from tests.harness.operating import Operator
from tests.harness.waiting import eventually


def started(folder: Path, *arguments: str, out: str, err: str) -> subprocess.Popen[bytes]:
    with Path(out).open("ab") as stdout, Path(err).open("ab") as stderr:
        return subprocess.Popen(
            [*MAIN, *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


async def test_a_system_whose_log_is_on_a_full_disk_serves_and_stops_in_good_order(
    tmp_path: Path,
) -> None:
    operator = Operator(tmp_path)
    process = started(tmp_path, "--log-format", "json", "up", out="/dev/full", err="/dev/full")

    async def serves() -> bool:
        try:
            return (await client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        async with httpx.AsyncClient(base_url=operator.url, trust_env=False) as client:
            await eventually(serves)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "err", "code"),
    [
        (("version",), "err", 3),  # told nothing, so it cannot be 0
        (("version",), "/dev/full", 3),
        (("--set", "data_dir=/proc/nowhere", "up"), "/dev/full", 3),
        (("order", "show"), "/dev/full", 2),
    ],
)
def test_the_exit_code_says_how_it_ended_where_nothing_else_can(
    tmp_path: Path, arguments: tuple[str, ...], err: str, code: int
) -> None:
    where = str(tmp_path / "err") if err == "err" else err
    process = started(tmp_path, *arguments, out="/dev/full", err=where)
    assert process.wait(PATIENCE_S) == code
    if err == "err":
        told = (tmp_path / "err").read_text()
        assert told.startswith("error: [Errno 28] No space left on device")
        assert "Traceback" not in told
