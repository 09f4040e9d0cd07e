"""What is written stands there whole or not at all."""

import errno
import os
import resource
import stat
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnncli.errors import CnncliError
from cnncli.system import atomic
from tests.cli.test_train import cnncli


@contextmanager
def full_disk():
    """As on a full disk, what is written beyond 10 bytes fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_made_with_the_permissions_that_any_new_file_has(tmp_path):
    atomic.write(tmp_path / "new", b"content")
    (tmp_path / "plain").touch()
    assert (tmp_path / "new").read_bytes() == b"content"
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert names(tmp_path) == ["new", "plain"]


def test_a_file_that_is_replaced_hands_on_its_permissions(tmp_path):
    (tmp_path / "old").touch(0o640)
    (tmp_path / "old").chmod(0o640)
    atomic.write(tmp_path / "old", b"content")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o640


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    for content in (b"first", b"second"):
        atomic.write(tmp_path / "link", content)
        assert (tmp_path / "there/file").read_bytes() == content
        assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("old", [None, b"old"])
def test_on_a_full_disk_the_old_file_stays_and_nothing_new_is_left(tmp_path, old):
    if old is not None:
        (tmp_path / "file").write_bytes(old)
    intact = "" if old is None else "; the existing file is unchanged"
    with full_disk(), pytest.raises(CnncliError) as caught:
        atomic.write(tmp_path / "file", b"more than ten bytes")
    assert str(caught.value) == f"{tmp_path}/file: can't be written: File too large{intact}"
    assert names(tmp_path) == ([] if old is None else ["file"])
    assert old is None or (tmp_path / "file").read_bytes() == old


def test_a_folder_that_can_not_be_flushed_is_told_when_the_file_is_written(tmp_path, monkeypatch):
    def broken(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(atomic, "sync", broken)
    with pytest.raises(CnncliError) as caught:
        atomic.write(tmp_path / "file", b"new")
    said = "is written, but may be gone after a power failure: Input/output error"
    assert str(caught.value) == f"{tmp_path}/file: {said}"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_what_goes_wrong_in_the_block_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic.replacing(tmp_path / "file") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_nothing_stands_there_before_all_is_written(tmp_path):
    with atomic.replacing(tmp_path / "file") as file:
        file.write(b"content")
        file.flush()
        assert not (tmp_path / "file").exists()
    assert names(tmp_path) == ["file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    atomic.write_folder(tmp_path / "new", {"a": b"1", "b": b"2"})
    assert [(tmp_path / "new" / name).read_bytes() for name in "ab"] == [b"1", b"2"]
    with full_disk(), pytest.raises(CnncliError, match=r"can't be written: File too large$"):
        atomic.write_folder(tmp_path / "full", {"a": b"1", "b": b"2" * 11})
    assert names(tmp_path) == ["new"]


def test_files_of_an_existing_folder_are_replaced_one_by_one(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "a").write_text("old")
    atomic.write_folder(tmp_path, {"a": b"new", "b": b"2"})
    assert [(tmp_path / name).read_text() for name in names(tmp_path)] == ["new", "2", "mine"]


def test_a_folder_can_not_replace_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CnncliError, match=r"can't be written: Not a directory; the existing file is unchanged$"):
        atomic.write_folder(tmp_path / "file", {"a": b"1"})
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == ["file"]


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    atomic.write(tmp_path / "pipe", b"content")
    reader.join()
    assert read == [b"content"]
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("link", [False, True])
def test_an_open_stream_is_written_to_where_it_stands(tmp_path, link):
    with (tmp_path / "log").open("wb", buffering=0) as log:
        path = tmp_path / "link" if link else None
        if path:
            path.symlink_to(f"/dev/fd/{log.fileno()}")
        log.write(b"before ")
        atomic.write(path or Path(f"/dev/fd/{log.fileno()}"), b"content")
        log.write(b" after")
    assert (tmp_path / "log").read_bytes() == b"before content after"


def test_a_full_device_is_told_and_stays(tmp_path):
    with pytest.raises(CnncliError, match=r"^/dev/full: can't be written: No space left on device$"):
        atomic.write(Path("/dev/full"), b"content")
    assert Path("/dev/full").is_char_device()


def test_a_folder_or_a_missing_one_is_told(tmp_path):
    for name, why in {"": "Is a directory", "no/file": f"there is no directory '{tmp_path}/no'"}.items():
        with pytest.raises(CnncliError, match=rf"can't be written: {why}$"):
            atomic.write(tmp_path / name, b"content")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("init", "mnist", "-o"),
        ("schema", "-o"),
        ("datasets", "preview", "mnist.yaml", "--images", "2", "-o"),
    ],
)
def test_no_command_leaves_an_empty_file_on_a_full_disk(tmp_path, arguments):
    assert cnncli(tmp_path, "init", "mnist").returncode == 0
    assert cnncli(tmp_path, *arguments, "first.png").returncode == 0  # compiles what has to be, while there is room
    before = names(tmp_path)
    with full_disk():
        done = cnncli(tmp_path, *arguments, "out.png")
    assert (done.returncode, done.stderr) == (1, "error: out.png: can't be written: File too large\n")
    assert names(tmp_path) == before
