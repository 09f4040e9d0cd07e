"""Output whose reader has gone (`cnncli summary | head`): the command goes on, so that its exit code stays true."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any


class Unbroken:
    """A text stream that drops what nobody reads any more; in all else it is the stream it stands for."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.unread = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop."""
        try:
            return int(self._stream.write(text))
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush, or drop."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Lead the stream, with what it still holds, to nowhere."""
        self.unread = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)


@contextmanager
def unbroken() -> Iterator[None]:
    """While entered, standard output and standard error never fail because nobody reads them."""
    with redirect_stdout(Unbroken(sys.stdout)), redirect_stderr(Unbroken(sys.stderr)):
        yield


def unread() -> bool:
    """Whether nobody reads standard output any more: what only prints may stop."""
    return isinstance(sys.stdout, Unbroken) and sys.stdout.unread
