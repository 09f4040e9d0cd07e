"""Trying out in a copy of this process what may take it down: a library in C that parses a hostile file."""

import faulthandler
import os
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress

SECONDS = 60.0
PAUSE = 0.002
"""Seconds between looks at the copy, at first."""


def survives(work: Callable[[], object], seconds: float = SECONDS) -> bool:
    """Whether `work` ends by itself, be it with an error, within some time. It has no effect on this process.

    Where processes can't be copied, on Windows, nothing is tried.
    """
    if not hasattr(os, "fork"):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the copy has this thread alone, and work needs no other
        child = os.fork()
    if child == 0:
        try:
            faulthandler.disable()
            with suppress(BaseException):
                work()
        finally:
            os._exit(0)
    deadline, pause = time.monotonic() + seconds, PAUSE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.WIFEXITED(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
