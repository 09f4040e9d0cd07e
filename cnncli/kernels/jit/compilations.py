"""Record of the functions compiled or loaded by this process, and its listeners."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Compilation(NamedTuple):
    """A function compiled, or loaded from the cache folder. `name`: "conv2d.correlate"."""

    name: str
    dtype: str
    seconds: float
    cached: bool


done: list[Compilation] = []
"""All functions compiled or loaded by this process so far."""
listeners: list[Callable[[Compilation], None]] = []


@contextmanager
def heard_by(listener: Callable[[Compilation], None]) -> Iterator[None]:
    """Context in which `listener` is called for each function compiled or loaded."""
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def tell(compilation: Compilation) -> None:
    """Record a compilation and notify the listeners."""
    done.append(compilation)
    for listener in listeners:
        listener(compilation)
