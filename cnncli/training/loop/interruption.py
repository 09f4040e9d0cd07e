"""Signals while training: the first asks the loop to stop at the next batch, a second stops at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cnncli.errors import InterruptedRun
from cnncli.system import signals


class Interruption:
    """While entered, a signal only sets `signal`, and whoever can save asks for it with `raise_if_interrupted`.

    `resume` is the command that resumes from the last checkpoint. While there is none, and on a second signal, the
    process ends where it stands; in a program that is not ours the block does, with InterruptedRun. After one the
    process is about to end: further signals are ignored, because an exception more could come anywhere, even where this
    one is told. A program that is not ours, as a notebook, has its own handlers back.
    """

    def __init__(self) -> None:
        self.resume = ""
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self.before = {number: signal.signal(number, self._receive) for number in signals.numbers()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = isinstance(error, KeyboardInterrupt | InterruptedRun) and signals.installed()
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_IGN if ended else handler)
        if isinstance(error, KeyboardInterrupt):
            raise InterruptedRun(self._at_once(), self.signal or signal.SIGINT) from None

    def raise_if_interrupted(self, where: str) -> None:
        """Raise InterruptedRun if a signal has come and everything is saved; `where` says how far the run got."""
        if self.signal is not None:
            raise InterruptedRun(f"interrupted {where}; everything is saved. To resume: {self.resume}", self.signal)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, self.signal = self.signal is None, number
        if not (first and self.resume):
            signals.leave(number, self._at_once())
            for other in self.before:
                signal.signal(other, signal.SIG_IGN)
            raise KeyboardInterrupt  # no Exception, which code that this one happens to interrupt might catch

    def _at_once(self) -> str:
        if self.resume:
            return f"stopped at once. To resume from the last checkpoint: {self.resume}"
        return "interrupted before the training began"
