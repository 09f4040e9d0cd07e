"""What signals do to a process of our own: told, cleaned up, ended; with every test a process that is signalled."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(code, *, ignored=()):
    """Run Python code in a process of its own, with some signals ignored from the beginning."""

    def enter():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may have ignored it, as nohup does
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=enter,
        check=False,
    )


def signalled(before, number, after=""):
    """Code that sends itself a signal once the command line's module is loaded."""
    loaded = "import os, signal\nimport cnncli.__main__\nfrom cnncli.system import signals"
    return f"{loaded}\n{before}\nos.kill(os.getpid(), {number})\n{after}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_told_as_soon_as_the_command_is_loaded(number):
    done = run(signalled("", int(number), "print('went on')"))
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "error: interrupted\n")


def test_under_nohup_a_terminal_that_is_closed_ends_nothing():
    done = run(signalled("", int(signal.SIGHUP), "print('went on')"), ignored=[signal.SIGHUP])
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_what_is_temporary_goes_last_first_and_an_error_there_stops_nothing():
    before = """
def say(text):
    return lambda: os.write(1, text)
kept = say(b"kept ")
for action in (say(b"first "), kept, lambda: 1 / 0, say(b"second ")):
    signals.undo(action)
signals.keep(kept)
"""
    done = run(signalled(before, int(signal.SIGTERM)))
    assert (done.returncode, done.stdout, done.stderr) == (143, "second first ", "error: interrupted\n")


def test_further_signals_do_not_disturb_the_end():
    before = "signals.undo(lambda: [os.kill(os.getpid(), number) for number in (1, 2, 15)])"
    done = run(signalled(before, int(signal.SIGTERM)))
    assert (done.returncode, done.stderr) == (143, "error: interrupted\n")


def test_no_exception_is_raised_that_others_could_catch():
    before = "class Last:\n    def __del__(self):\n        os.kill(os.getpid(), 2)\n        str()\nLast()"
    done = run(signalled(before, 0))
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


def test_a_folder_that_is_being_written_goes(tmp_path):
    before = f"""
from pathlib import Path
from cnncli.system import atomic
class Files(dict):
    def items(self):
        yield "a", b"1"
        os.kill(os.getpid(), signal.SIGINT)
        yield "b", b"2"
atomic.write_folder(Path({str(tmp_path / "new")!r}), Files())
"""
    done = run(signalled(before, 0))
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_peer_at_work_is_killed():
    code = """
import sys
from cnncli.interop.peers.peer import Peer
work = "import os, time; print('{\\"version\\":', os.getpid(), ', \\"variants\\": {}}', flush=True); time.sleep(999)"
peer = Peer("x", [sys.executable, "-c", work], {}, os.environ)
print(peer.version, flush=True)
"""
    done = run(signalled(code, int(signal.SIGTERM)))
    assert done.returncode == 143
    peer = Path("/proc", done.stdout.strip(), "stat")
    deadline = time.monotonic() + 30
    while peer.exists() and peer.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert json.loads(done.stdout) > 0
