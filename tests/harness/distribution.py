"""How the tests are spread over the workers of ``pytest -n``: long ones first, one by one.

Only ids are known where this is decided, so that what belongs together is told by them.
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

# The ones that mostly wait start first, and the many that take no time fill what they leave.
LONG_FIRST = (
    *("tests/chaos/test_campaign.py", "tests/end_to_end", "tests/test_readme.py"),
    *("tests/actors/commands", "tests/actors/payment", "tests/runtime"),
)
# Something slow is made once for the whole file, or the tests take less time than handing them out.
IN_ONE_PLACE = (
    *("tests/end_to_end/test_package.py", "tests/test_tidy.py"),
    "tests/end_to_end/test_shop_pages.py",
    *("tests/end_to_end/test_unwilling_broker.py", "tests/runtime/amqp/test_garbage.py"),
)
# The same, once for each parameter.
IN_ONE_PLACE_EACH = ("tests/end_to_end/test_apart.py",)


def rank(test_id: str) -> int:
    """Return where a test's turn is: the lower, the earlier."""
    places = (place for place, start in enumerate(LONG_FIRST) if test_id.startswith(start))
    return next(places, len(LONG_FIRST))


def group(test_id: str) -> str:
    """Return the name of those tests that must be run by one worker, one after the other."""
    file, _, name = test_id.partition("::")
    if file in IN_ONE_PLACE:
        return file
    if file in IN_ONE_PLACE_EACH:
        return f"{file}[{name.partition('[')[2]}"
    return test_id


class LongFirst(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out groups in the order of collection, each to the worker that is free first."""

    def __init__(self, config: Any, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

    def schedule(self) -> None:
        """Hand out the first tests, to a worker that takes a dead one's place too.

        A worker begins a test once it knows the next one, or that there is none.
        """
        super().schedule()
        for node in self.nodes:
            self._reschedule(node)

    def _reschedule(self, node: Any) -> None:
        # One that takes a dead worker's place is listed before it knows the tests.
        if node in self.registered_collections:
            super()._reschedule(node)

    def remove_node(self, node: Any) -> str | None:
        """Give the rest of a dead worker's tests to others; return the one it died of.

        That one is not for them: a test that hangs would end every worker. Neither are groups of
        which nothing is left: with them a worker waits for ever.
        """
        units = self.assigned_work.pop(node)
        left = [nodeid for unit in units.values() for nodeid, done in unit.items() if not done]
        if not left:
            return None
        for scope, unit in units.items():
            rest = {nodeid: done for nodeid, done in unit.items() if not done}
            rest.pop(left[0], None)
            if rest:
                self.workqueue[scope] = rest
        for other in self.nodes:
            self._reschedule(other)
        return left[0]
