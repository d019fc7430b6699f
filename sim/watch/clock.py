"""When something is seen: virtual seconds, and the step of the trace."""

from collections.abc import Callable

Clock = Callable[[], tuple[float, int]]
