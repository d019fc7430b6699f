"""A clear word where a rival's package is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.errors import EnvironmentUnready

HINT = "pip install 'ordermill[bench]'"


@contextmanager
def explained() -> Iterator[None]:
    """Turn the import error of a package that is not ours into what to do about it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise EnvironmentUnready(f"{error.name} is not installed", hint=HINT) from error
