"""Running one child without a supervisor: start it, use it, stop it, and see how it ended."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from runtime.child import ChildContext


@asynccontextmanager
async def running(
    *children: Callable[[ChildContext], Awaitable[None]], within_s: float = 20.0
) -> AsyncIterator[list[ChildContext]]:
    """Run children in this order; stop them in the reverse one and wait for each to end.

    A child that raises ends the block; so does one that does not start, and one that does not end,
    in time.
    """
    async with anyio.create_task_group() as group:
        contexts: list[ChildContext] = []
        ended: list[anyio.Event] = []

        async def one(
            run: Callable[[ChildContext], Awaitable[None]],
            context: ChildContext,
            begun: anyio.Event,
            end: anyio.Event,
        ) -> None:
            try:
                await run(context)
                assert begun.is_set(), f"{context.name} ended before it had started"
            finally:
                end.set()

        for number, run in enumerate(children):
            begun = anyio.Event()
            contexts.append(ChildContext(f"child-{number}", begun.set))
            ended.append(anyio.Event())
            group.start_soon(one, run, contexts[-1], begun, ended[-1])
            with anyio.fail_after(within_s):
                await begun.wait()
        try:
            yield contexts
        finally:
            with anyio.fail_after(within_s, shield=True):
                for context, end in zip(reversed(contexts), reversed(ended), strict=True):
                    context.stopping.set()
                    await end.wait()
