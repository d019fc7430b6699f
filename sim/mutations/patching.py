"""How a defect is planted: by replacing a name in the product, for the time of a run.

The law: defects live here and nowhere else. The product has no flag for them, and a run that ends
leaves it as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Patch:
    """Replaces attributes and gives them back."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: object) -> Any:
        """Set ``owner.name``, and return what was there: the original, to call from the defect."""
        original = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
        self._before.append((owner, name, original))
        setattr(owner, name, value)
        return original

    def undo(self) -> None:
        """Give everything back, the latest first."""
        while self._before:
            owner, name, original = self._before.pop()
            setattr(owner, name, original)


Plant = Callable[[Patch], None]


@contextmanager
def planted(plant: Plant | None) -> Iterator[None]:
    """Plant a defect (None: nothing) while the body runs."""
    patch = Patch()
    try:
        if plant is not None:
            plant(patch)
        yield
    finally:
        patch.undo()
