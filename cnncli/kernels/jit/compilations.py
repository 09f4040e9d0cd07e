"""What this process compiled, or loaded compiled, and who wants to be told of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Compilation(NamedTuple):
    """A function made ready: compiled, or loaded from the cache folder. `name`: "conv2d.correlate"."""

    name: str
    dtype: str
    seconds: float
    cached: bool


done: list[Compilation] = []
"""Every function that this process made ready so far."""
listeners: list[Callable[[Compilation], None]] = []


@contextmanager
def heard_by(listener: Callable[[Compilation], None]) -> Iterator[None]:
    """Inside, `listener` is told of each function that is made ready."""
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def tell(compilation: Compilation) -> None:
    """Note a function that was made ready, and tell the listeners."""
    done.append(compilation)
    for listener in listeners:
        listener(compilation)
