"""Before Numba is imported: room for four threads, whatever the machine, so that 1, 2 and 4 can be compared.

Nor does it matter whether it is GitHub that runs the tests.
"""

import os
import signal

import pytest

os.environ.setdefault("NUMBA_NUM_THREADS", "4")
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def signals():
    """An interrupted training leaves signals ignored, because its process is about to end: this one is not."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
