"""Signal handling during training: the first signal stops after the current batch, the second immediately."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cnncli.errors import InterruptedRun
from cnncli.system import signals


class Interruption:
    """Context manager in which a signal only sets `signal`; the loop polls it with `raise_if_interrupted`.

    `resume` is the command that resumes from the last checkpoint. If there is none, or on a second signal, the process
    exits immediately; in a host program (such as a notebook), the block ends with InterruptedRun instead. Afterwards
    the process is about to exit and ignores further signals, because another exception could be raised anywhere, even
    while this one is reported. In a host program, the original handlers are restored.
    """

    def __init__(self) -> None:
        self.resume = ""
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if (
            threading.current_thread() is threading.main_thread()
        ):  # Python allows signal handlers only in the main thread
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
        """Raise InterruptedRun if a signal was received and everything is saved; `where` describes the progress."""
        if self.signal is not None:
            raise InterruptedRun(f"interrupted {where}; everything is saved. To resume: {self.resume}", self.signal)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, self.signal = self.signal is None, number
        if not (first and self.resume):
            signals.leave(number, self._at_once())
            for other in self.before:
                signal.signal(other, signal.SIG_IGN)
            raise KeyboardInterrupt  # not an Exception, which the interrupted code might catch

    def _at_once(self) -> str:
        if self.resume:
            return f"stopped at once. To resume from the last checkpoint: {self.resume}"
        return "interrupted before the training began"
