"""What a run was made with: commit, Python, SQLite, libraries.

A seed means the same run only to the same code. So results carry their provenance, and a replay
compares it first.
"""

import hashlib
import platform
import shutil
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path

import msgspec

from sim import guard

ROOT = Path(__file__).parent.parent
_SOURCES = ("runtime", "actors", "sim")
_ALSO = ("msgspec", "werkzeug", "jinja2", "yarl", "wsproto", "h2")


class Provenance(msgspec.Struct, frozen=True):
    """``clean``: the sources are as they were committed. ``libraries``: versions by name."""

    package: str
    commit: str
    clean: bool
    python: str
    sqlite: str
    libraries: dict[str, str]

    @property
    def lock(self) -> str:
        """Four letters that change when a library does."""
        text = ",".join(f"{name}={version}" for name, version in sorted(self.libraries.items()))
        return hashlib.blake2b(text.encode(), digest_size=2).hexdigest()

    def line(self) -> str:
        """Return it in one line."""
        state = "clean" if self.clean else "changed since"
        commit = f"commit {self.commit} ({state})" if self.commit else f"version {self.package}"
        return f"{commit}  python {self.python}  sqlite {self.sqlite}  lock {self.lock}"

    def differences(self, now: "Provenance") -> list[str]:
        """Say how ``now`` differs, where it may change a run."""
        pairs = [("commit", self.commit, now.commit), ("python", self.python, now.python)]
        pairs += [("sqlite", self.sqlite, now.sqlite)]
        for name in sorted({*self.libraries, *now.libraries}):
            pairs.append((name, self.libraries.get(name, "-"), now.libraries.get(name, "-")))
        found = [f"{name} {old} -> {new}" for name, old, new in pairs if old != new]
        if self.commit == now.commit and not (self.clean and now.clean):
            found.append("sources changed since the commit")
        return found


def provenance() -> Provenance:
    """Return what is installed here."""
    commit, clean = _commit()
    return Provenance(
        package=_version("ordermill"),
        commit=commit,
        clean=clean,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        libraries={name: _version(name) for name in (*guard.VERSIONS, *_ALSO)},
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "-"


def _commit() -> tuple[str, bool]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return "", True
    head = _ask(git, "rev-parse", "--short=10", "HEAD")
    changed = _ask(git, "status", "--porcelain", "--untracked-files=no", "--", *_SOURCES)
    return head, not changed


def _ask(git: str, *arguments: str) -> str:
    asked = subprocess.run(  # noqa: S603 - our own arguments
        [git, "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False, timeout=10
    )
    return asked.stdout.strip()
