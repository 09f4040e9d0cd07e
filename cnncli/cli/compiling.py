"""Shows on a terminal that kernels are compiled for a first result."""

from collections.abc import Iterator
from contextlib import contextmanager

from cnncli.report.terminal.progress import Status


@contextmanager
def compiling() -> Iterator[None]:
    """Context in which the first kernels run: on a terminal, name each that is compiled."""
    from cnncli.kernels.jit import compilations

    with Status() as notice:
        notice.say("compiling kernels …")
        with compilations.heard_by(lambda made: notice.say(f"compiling kernels … {made.name} is ready")):
            yield
