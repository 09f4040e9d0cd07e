"""Folders in the making: those of killed processes go, at once; those of living ones stay, whatever their age."""

import fcntl
import os
import signal
import subprocess
import sys
from errno import ENOLCK

import pytest

from cnncli.datasets.sources import temporary

MAKER = """
import sys
from pathlib import Path
from cnncli.datasets.sources import temporary
with temporary.folder(Path(sys.argv[1])) as made:
    (made / "half").write_text("x")
    print(made.name, flush=True)
    sys.stdin.read()
"""


def names(parent):
    return {path.name for path in parent.iterdir()}


def test_a_killed_process_folder_is_removed_by_the_next_and_a_living_one_stays(tmp_path):
    making = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    _, living = [process.stdout.readline().strip() for process in making]
    os.utime(tmp_path / living, (1, 1))
    making[0].send_signal(signal.SIGKILL)
    making[0].wait()
    with temporary.folder(tmp_path) as made:
        assert names(tmp_path) == {living, made.name}
    assert (tmp_path / living / "half").read_text() == "x"
    making[1].communicate("")
    assert names(tmp_path) == set()


def test_a_folder_that_is_taken_for_an_abandoned_one_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock, before = fcntl.flock, []

    def late(descriptor, operation):
        if not before:
            before.append(names(tmp_path))
            (tmp_path / next(iter(before[0]))).rmdir()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with temporary.folder(tmp_path) as made:
        assert made.is_dir()
        assert {made.name} == names(tmp_path) != before[0]


def test_on_a_file_system_without_locks_age_says_what_is_abandoned(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for name in (".old", ".young"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / ".old", (1, 1))
    with temporary.folder(tmp_path) as made:
        assert names(tmp_path) == {".young", made.name}
    assert names(tmp_path) == {".young"}


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_what_is_still_in_a_folder_at_the_end_is_removed(tmp_path, error):
    try:
        with temporary.folder(tmp_path) as made:
            (made / "deep").mkdir()
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    assert names(tmp_path) == set()


def test_links_and_other_names_are_never_removed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / ".link").symlink_to(tmp_path / "kept")
    (tmp_path / ".file").touch()
    temporary.remove_abandoned(tmp_path)
    assert names(tmp_path) == {"kept", ".link", ".file"}
