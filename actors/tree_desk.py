"""What operators may ask of whoever a service's process runs: what waits there, a new start.

Its law: every service of a process has the same tree, so whichever is asked, it is the same, and
the deed is in the audit of the one that was asked. ``GET /actors?path=`` tells what waits and what
was logged lately. ``POST /actors/restart`` with `RestartActor` answers 202 as soon as it is begun:
a service may restart the very server that answers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec
from quart import Blueprint, Response, request

from actors.deeds import deed
from actors.domain.values import TidyText
from actors.operators import decoded
from actors.status import answer
from runtime.errands import Done, Errands
from runtime.errors import Rejection
from runtime.log_tail import LogLine, LogTail
from runtime.waiting import Peek, Waiting

RESTART = "actor-restart"
BEGUN = "begun"

PATH_PATTERN = r"^[a-z0-9/-]+$(?!\n)"
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=300, pattern=PATH_PATTERN)]


class RestartActor(TidyText, frozen=True):
    """Who is to start again, by the path in the tree (``ordermill/payment-service``), and why."""

    path: Path
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class RestartReply(msgspec.Struct, frozen=True):
    """Who was told to."""

    path: str


class ActorReply(msgspec.Struct, frozen=True):
    """What waits, None where nothing can, and the latest log lines, oldest first."""

    waiting: list[Waiting] | None
    lines: list[LogLine]


class TreeDesk:
    """The tree of one process; ``restart`` is `runtime.supervisor.Supervisor.restart` of its root.

    ``root`` is the root's name, with which every path begins; for ``peeks`` see `actors.peeks`.
    """

    def __init__(
        self,
        root: str,
        restart: Callable[[Sequence[str]], None],
        tail: LogTail,
        peeks: Mapping[str, Peek],
    ) -> None:
        self._root = root
        self._restart = restart
        self._tail = tail
        self._peeks = peeks

    async def look(self, path: str) -> ActorReply:
        """Return what waits and what was logged where this path leads; nothing, if nowhere."""
        peek = self._peeks.get("/".join(path.split("/")[-2:]))
        return ActorReply(None if peek is None else await peek(), self._tail.of(path))

    def restart(self, path: str) -> None:
        """Have whoever has this path start again, and siblings as the strategy says.

        Rejection not-found (404), not-running (409) where its supervisor is not, and
        validation-failed for the root: it is the process.
        """
        root, *below = path.split("/")
        if root == self._root and not below:
            message = "`path` is the root: stop the process, and start it again."
            raise Rejection("validation-failed", message, status_hint=422)
        self._restart(below if root == self._root else [])


def add_tree(routes: Blueprint, errands: Errands, desk: TreeDesk) -> None:
    """Add the routes of the process's tree to those of an operator's desk."""

    @routes.get("/actors")
    async def look() -> Response:
        return answer(await desk.look(request.args.get("path", "")))

    @routes.post("/actors/restart")
    async def restart() -> Response:
        wanted = await decoded(RestartActor)

        async def work() -> Done:
            desk.restart(wanted.path)
            return Done(RestartReply(wanted.path), BEGUN)

        what = deed(RESTART, wanted.path, wanted.reason)
        return answer(await errands.carry_out(what, work), 202)
