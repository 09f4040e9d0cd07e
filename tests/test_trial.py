"""`survives`: what takes a process down takes a copy of it only."""

import os
import signal
import time

from cnncli.system.trial import survives


def test_work_survives_if_it_ends_by_itself_with_or_without_an_error():
    assert survives(lambda: None)
    assert survives(lambda: 1 / 0)
    assert survives(lambda: os._exit(3))


def test_work_that_is_killed_or_does_not_end_does_not_survive():
    assert not survives(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert not survives(lambda: time.sleep(60), seconds=0.2)


def test_work_has_no_effect_here():
    seen = []
    assert survives(lambda: seen.append(1))
    assert not seen
