"""What is kept of the log: the latest lines of each place, bounded, and as they were logged."""

import anyio

from runtime import log_tail
from runtime.log_tail import LINES_KEPT, PLACES_MAX, LogTail
from runtime.telemetry import Telemetry


def logger(level: str = "info") -> tuple[Telemetry, list[str]]:
    written: list[str] = []
    telemetry = Telemetry(
        wall=lambda: 12.5,
        log_level=level,
        log_format="json",
        write=written.append,  # type: ignore[arg-type]
    )
    return telemetry, written


def events(tail: LogTail, path: str) -> list[str]:
    return [line.event for line in tail.of(path)]


async def test_a_line_belongs_to_the_place_whose_task_logged_it() -> None:
    telemetry, _ = logger()

    async def below() -> None:
        telemetry.event("from.a.task")

    with log_tail.at("root/a"):
        telemetry.event("a.one")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(below)
        with log_tail.at("root/a/b"):
            telemetry.event("b.one")
        telemetry.event("a.two")
    telemetry.event("of.the.process")
    assert events(telemetry.tail, "root/a/b") == ["b.one"]
    assert events(telemetry.tail, "root/a") == ["a.one", "from.a.task", "b.one", "a.two"]
    assert events(telemetry.tail, "root")[-1] == "of.the.process"
    assert events(telemetry.tail, "root/c") == events(telemetry.tail, "root/a2") == []


async def test_it_is_what_was_logged_and_nothing_else() -> None:
    telemetry, written = logger("warning")
    telemetry.event("quiet", "info", text="nobody reads this")
    telemetry.event("library.log", "warning", logger="x", text="to ada@example.org\nforged", more=1)
    (line,) = telemetry.tail.of("root")
    assert (line.at_ms, line.level, line.event) == (12_500, "warning", "library.log")
    assert line.fields == {"logger": "x", "text": "to [e-mail]\\nforged"}
    assert len(written) == 1
    assert "ada" not in written[0]


async def test_it_is_bounded() -> None:
    tail = LogTail()
    for number in range(PLACES_MAX + 3):
        with log_tail.at(f"root/{number}"):
            for line in range(LINES_KEPT + 2):
                tail.add(0.0, "info", f"{number}.{line}", {})
    assert events(tail, "root/0") == [f"0.{line}" for line in range(2, LINES_KEPT + 2)]
    assert events(tail, f"root/{PLACES_MAX}") == []
    assert len(tail.of("root")) == LINES_KEPT
