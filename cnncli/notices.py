"""What a user should know though nothing went wrong: a line on standard error, once per process.

This module imports nothing of cnncli, so that any floor may say what it noticed.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_said: set[str] = set()


def _print(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


show: Callable[[str], None] = _print
"""Where notices go; whoever runs commands in another surrounding may set another function."""


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Within the block, `listener` gets the notices."""
    global show  # noqa: PLW0603 (one for the process: whatever floor has something to say need not be handed it)
    before, show = show, listener
    try:
        yield
    finally:
        show = before


def warn(text: str) -> None:
    """Show a warning, unless this process has shown it before."""
    if text not in _said:
        _said.add(text)
        show(text)
