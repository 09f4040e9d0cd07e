"""Warnings on standard error, each shown once per process.

This module imports nothing of cnncli, so that every package can use it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_shown: set[str] = set()


def _print(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


show: Callable[[str], None] = _print
"""Function that shows a notice; may be replaced."""


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Context manager that passes notices to `listener`."""
    global show  # noqa: PLW0603 (process-wide, so that it need not be passed to every function)
    before, show = show, listener
    try:
        yield
    finally:
        show = before


def warn(text: str) -> None:
    """Show a warning, unless this process has shown it before."""
    if text not in _shown:
        _shown.add(text)
        show(text)
