"""Signals while training: the first asks the loop to stop at the next batch, a second stops at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cnncli.errors import InterruptedRun

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, SIGINT and SIGTERM only set `signal`; the second one raises InterruptedRun wherever it arrives.

    `resume` is the command that goes on from the last checkpoint.
    """

    def __init__(self, resume: str) -> None:
        self.resume = resume
        self.signal: int | None = None
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self.before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def stop(self, where: str) -> InterruptedRun:
        """The error to raise once everything is saved; `where` says how far the run got."""
        assert self.signal is not None
        return InterruptedRun(f"interrupted {where}; all is saved. To go on: {self.resume}", self.signal)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise InterruptedRun(f"stopped at once. To go on from the last checkpoint: {self.resume}", number)
        self.signal = number
