"""The distribution: built, installed where nothing else is, and used from another folder."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TEMPLATES = ("pages/templates/layout.html", "console/templates/frame.html")


def _run(*command: str | Path, cwd: Path) -> str:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ORDERMILL_")}
    kept["PIP_CONSTRAINT"] = str(ROOT / "constraints.txt")
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    done = subprocess.run(
        list(command), cwd=cwd, env=kept, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("package")
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env")
    binaries = folder / "env" / "bin"
    # Our own pip, as it would do it there: to install one first takes longer than the rest.
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python"]
    _run(*pip, "install", "--quiet", "--no-compile", wheel, cwd=folder)
    return binaries


def test_the_installed_wheel_runs_an_order(installed: Path, tmp_path: Path) -> None:
    told = _run(installed / "ordermill", "demo", cwd=tmp_path)
    assert "\nOK  " in told
    assert "e-mail:" in told


def test_the_installed_wheel_checks_itself(installed: Path, tmp_path: Path) -> None:
    assert "ok    python" in _run(
        installed / "ordermill", "check", "--only", "python,config", cwd=tmp_path
    )


def test_the_wheel_holds_the_packages_and_nothing_of_the_tests(installed: Path) -> None:
    listed = _run(
        installed / "python",
        "-c",
        "from importlib.metadata import files; print(*files('ordermill'), sep='\\n')",
        cwd=installed,
    )
    folders = {line.split("/")[0] for line in listed.splitlines() if "/" in line}
    own = {name for name in folders if not name.startswith(("ordermill-", ".."))}
    assert own == {"runtime", "actors", "sim", "bench"}
    gateway = Path("actors/gateway")
    there = {str(path.relative_to(ROOT)) for path in (ROOT / gateway).rglob("*.*")}
    missing = there - set(listed.splitlines())
    assert {name for name in missing if "__pycache__" not in name} == set()
    assert {f"{gateway}/{name}" for name in TEMPLATES} <= there
