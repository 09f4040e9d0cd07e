"""A thread that sends what a training has to say, so that the training never waits for a server."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from cnncli.errors import CnncliError, reason
from cnncli.training.loggers.mlflow_store import Point

PAUSE = 1.0
"""Seconds between requests with values of metrics, of which one has all that have come together."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds until a server that can't be reached is tried again."""
PATIENCE = 60.0
"""Seconds that the end of a training waits for what is still to be sent."""
MOST_WAITING = 200_000
"""Values of metrics that wait for a server."""

Job = Callable[[], None]


class Unreachable(CnncliError):
    """A server can't be reached at the moment."""


class Outbox:
    """Runs `first` and other jobs in their order in a thread of its own, and hands values of metrics to `send`.

    `trouble` is what went wrong first. A job that raises Unreachable is repeated until the training ends; one that
    raises another exception is left out, and if that is `first`, so are all others.
    """

    def __init__(self, first: Job, send: Callable[[Sequence[Point]], None]) -> None:
        self.first, self.send, self.trouble = first, send, ""
        self.waiting: deque[Job | list[Point]] = deque()
        self.count = 0
        self.ending = self.dead = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._work, name="cnncli log", daemon=True)
        self.thread.start()

    def put(self, item: Job | list[Point]) -> None:
        """Add a job, or values of metrics."""
        with self.changed:
            self.count += len(item) if isinstance(item, list) else 0
            if self.count > MOST_WAITING:
                self._end(f"more than {MOST_WAITING:,} values of metrics could not be sent")
            if not self.dead:
                self.waiting.append(item)
                self.changed.notify()

    def close(self) -> None:
        """Wait until all is sent, or can't be."""
        with self.changed:
            self.ending = True
            self.changed.notify()
        end = monotonic() + PATIENCE
        while self.thread.is_alive() and monotonic() < end:
            self.thread.join(0.1)  # so that a signal is noticed
        if self.thread.is_alive():
            self._end(f"not all was sent within {PATIENCE:.0f} s")

    def _end(self, trouble: str) -> None:
        self.trouble = self.trouble or trouble
        self.dead = True
        self.waiting.clear()

    def _work(self) -> None:
        if not self._do(self.first):
            with self.changed:
                self._end(self.trouble)
        while not self.dead:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.ending)
                if not self.waiting:
                    return
                item = self._next()
            self._do(item)
            if isinstance(item, list):
                with self.changed:
                    self.changed.wait_for(lambda: self.ending, PAUSE)

    def _next(self) -> Job | list[Point]:
        """The next job, or all values of metrics before it."""
        item = self.waiting.popleft()
        while isinstance(item, list) and self.waiting and isinstance(self.waiting[0], list):
            item += self.waiting[0]
            self.waiting.popleft()
        self.count -= len(item) if isinstance(item, list) else 0
        return item

    def _do(self, item: Job | list[Point]) -> bool:
        """Do it, as often as it takes; return whether it is done."""
        delay = FIRST_DELAY
        while True:
            last = self.ending
            try:
                if isinstance(item, list):
                    self.send(item)
                else:
                    item()
            except Unreachable as error:
                self.trouble = self.trouble or str(error)
                with self.changed:
                    if last:
                        self._end(self.trouble)
                        return False
                    self.changed.wait_for(lambda: self.ending, delay)
                delay = min(2 * delay, LONGEST_DELAY)
            except Exception as error:  # it must not be lost with the thread
                self.trouble = self.trouble or reason(error) or type(error).__name__
                return False
            else:
                return True
