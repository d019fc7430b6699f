"""Style sheets, pictures and the one script: read once, served under a name that has their hash."""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from quart import Response, request

from actors.gateway.context import header
from actors.gateway.preconditions import is_unchanged
from actors.gateway.problems import not_found

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class StaticFile(msgspec.Struct, frozen=True):
    """One file and its hash."""

    body: bytes
    content_type: str
    version: str


class StaticFiles:
    """Every file below ``static``; a name that is not one of them is no path, but a 404."""

    def __init__(self) -> None:
        folder = files("actors.gateway.pages").joinpath("static")
        self._files = dict(_below(folder, ""))

    def url(self, name: str) -> str:
        """Return where a file is served; its address changes when it does."""
        return f"/static/{name}?v={self._files[name].version}"

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._files

    async def file(self, name: str) -> Response:
        """Answer with a file."""
        found = self._files.get(name)
        if found is None:
            raise not_found()
        tag = f'"{found.version}"'
        cached = _FOR_EVER if request.args.get("v") == found.version else "no-cache"
        headers = {"Cache-Control": cached, "ETag": tag}
        if is_unchanged(header("if-none-match"), tag):
            return Response(b"", 304, headers)
        return Response(found.body, 200, headers, content_type=found.content_type)


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, StaticFile]]:
    for entry in sorted(folder.iterdir(), key=lambda found: found.name):
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _below(entry, f"{name}/")
        elif (content_type := _TYPES.get(name.rpartition(".")[2])) is not None:
            body = entry.read_bytes()
            version = hashlib.sha256(body).hexdigest()[:12]
            yield name, StaticFile(body, content_type, version)
