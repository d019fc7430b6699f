"""However many ask, one look answers all that have asked before it began, and none later."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from runtime import audit
from runtime.database import open_database
from runtime.errands import WAITING_MAX, Errands
from runtime.errors import MailboxFull, Rejection, Unavailable
from runtime.host import production_host
from runtime.looks import QUESTIONS_MAX, Looks
from tests.harness.running import running


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Errands]:
    host = production_host(folder)
    async with open_database(host.disk, "some.db", (audit.SCHEMA,)) as database:
        errands = Errands("some", database, host.clock)
        async with running(errands.child().run):
            yield errands


class Shelf:
    """What is looked at: each look says which questions it was asked, and how many came before."""

    def __init__(self) -> None:
        self.looks: list[list[str]] = []
        self.go_on = anyio.Event()
        self.fails: Exception | None = None

    async def look(self, questions: Sequence[str]) -> list[str]:
        self.looks.append(list(questions))
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails
        return [f"{question} by look {len(self.looks)}" for question in questions]


async def settle() -> None:
    for _ in range(20):
        await checkpoint()


async def test_many_operators_take_one_look_and_late_ones_the_next(tmp_path: Path) -> None:
    shelf, answers = Shelf(), list[str]()

    async with desk(tmp_path) as errands:
        looks = Looks(errands, shelf.look)

        async def ask(question: str) -> None:
            answers.append(await looks.ask(question))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "a")
            await settle()
            for number in range(20 * WAITING_MAX):
                tasks.start_soon(ask, f"q{number % 3}")
            await settle()
            assert shelf.looks == [["a"]], "the others have come late for this one"
            assert errands.ref.statistics().depth == 1, "and wait together"
            shelf.go_on.set()
        assert shelf.looks == [["a"], ["q0", "q1", "q2"]]
        assert answers[0] == "a by look 1"
        assert sorted(set(answers[1:])) == [f"q{number} by look 2" for number in range(3)]
        assert len(answers) == 1 + 20 * WAITING_MAX
        assert await errands.audit(10) == [], "who only looks leaves no row"


@pytest.mark.parametrize("failure", [Rejection("no", "not allowed"), Unavailable("away")])
async def test_everybody_is_told_why_there_was_no_answer(
    tmp_path: Path, failure: Exception
) -> None:
    shelf = Shelf()
    shelf.fails = failure
    shelf.go_on.set()
    async with desk(tmp_path) as errands:
        looks, told = Looks(errands, shelf.look), list[Exception]()

        async def ask() -> None:
            try:
                await looks.ask("a")
            except (Rejection, Unavailable) as error:
                told.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert told == [failure, failure]
        shelf.fails = None
        assert await looks.ask("b") == "b by look 2", "the desk goes on"


async def test_how_many_wait_is_bounded_and_who_leaves_takes_nobody_along(tmp_path: Path) -> None:
    shelf = Shelf()
    async with desk(tmp_path) as errands:
        looks: Looks[str, str] = Looks(errands, shelf.look)
        async with anyio.create_task_group() as stayers, anyio.create_task_group() as leavers:
            stayers.start_soon(looks.ask, "a")
            await settle()
            stayers.start_soon(looks.ask, "b")
            for _ in range(QUESTIONS_MAX - 1):
                leavers.start_soon(looks.ask, "c")
            await settle()
            with pytest.raises(MailboxFull):
                await looks.ask("d")
            leavers.cancel_scope.cancel()
            shelf.go_on.set()
        assert shelf.looks == [["a"], ["b", "c"]]
