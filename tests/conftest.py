"""Before Numba is imported: room for four threads, whatever the machine, so that 1, 2 and 4 can be compared.

Nor does it matter whether it is GitHub that runs the tests. Bytecode is kept even if the environment says otherwise:
the many processes that tests start would each compile every module that they import.
"""

import os
import signal
import sys

import pytest
from hypothesis import settings

os.environ.setdefault("NUMBA_NUM_THREADS", "4")
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)
sys.dont_write_bytecode = False
# nohup and a shell's background jobs hand on that Ctrl-C is ignored, also to the processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="Property tests: 100,000 examples each, new ones every time.")


def pytest_configure(config):
    """A property test takes its number of examples from the profile, or a share of it."""
    settings.register_profile("short", max_examples=200, deadline=None, derandomize=True)
    settings.register_profile("long", max_examples=100_000, deadline=None)
    settings.load_profile("long" if config.getoption("--long") else "short")


def pytest_collection_modifyitems(items):
    """The long ones first; the others stay in order."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def alarm():
    """A test that waits for ever fails after a minute."""

    def rung(number, frame):
        pytest.fail("this has taken a minute")  # no OSError, which the command would take for a file's

    before = signal.signal(signal.SIGALRM, rung)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def signals():
    """An interrupted training leaves signals ignored, because its process is about to end: this one is not."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
