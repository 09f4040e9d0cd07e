"""Broken pipes (`cnncli summary | head`): the command continues, so that its exit code is correct."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any


class Unbroken:
    """Text stream wrapper that discards output after the pipe is broken."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.unread = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or discard if the pipe is broken."""
        try:
            return int(self._stream.write(text))
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush, or discard if the pipe is broken."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Redirect the stream and its buffer to the null device."""
        self.unread = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)


@contextmanager
def unbroken() -> Iterator[None]:
    """Context manager in which standard output and standard error never raise BrokenPipeError."""
    with redirect_stdout(Unbroken(sys.stdout)), redirect_stderr(Unbroken(sys.stderr)):
        yield


def unread() -> bool:
    """Whether standard output is a broken pipe: code that only prints may stop."""
    return isinstance(sys.stdout, Unbroken) and sys.stdout.unread
