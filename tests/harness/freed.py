"""What the cyclic collector would have to free: objects whose references go round in a circle."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_to_the_collector(*kinds: type) -> Iterator[list[object]]:
    """Yield a list; after the block it holds what was made in it and only the collector frees."""
    found: list[object] = []
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += [one for one in gc.garbage if isinstance(one, kinds)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
