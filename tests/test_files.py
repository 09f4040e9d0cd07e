"""What is opened to be read: regular files alone, and no line of any length. Opening never waits."""

import os
import socket
import subprocess
import sys

import pytest

from cnncli.system import files

SPEC = """
import sys; from pathlib import Path; from cnncli.system.files import open_regular
with open_regular(Path(sys.argv[1]), inherited=True) as file: print(file.read().decode())
"""


pytestmark = pytest.mark.usefixtures("alarm")


def refusal(path, **options):
    with pytest.raises(OSError) as caught, files.open_regular(path, **options):
        pass
    return caught.value.strerror


def test_a_regular_file_is_read_also_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with files.open_regular(tmp_path / name) as file:
            assert file.read() == b"content"
            assert os.get_blocking(file.fileno())


def test_all_else_is_refused_without_waiting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert refusal("pipe") == "it must be a regular file; it is a named pipe"
        assert refusal("pipe", inherited=True) == "it must be a regular file; it is a named pipe"
        assert refusal("device") == "it must be a regular file; it is a device"
        assert refusal("socket") == "No such device or address"
        assert refusal(".") == "Is a directory"
        assert refusal("nothing") == "No such file or directory"


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_a_pipe_that_the_shell_hands_over_is_read_where_it_may_be(path):
    done = subprocess.run([sys.executable, "-c", SPEC, path], input="a: b", capture_output=True, text=True, check=True)
    assert done.stdout == "a: b\n"


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert files.read_bounded(path, 5) == b"12345"
    with pytest.raises(OSError, match="it must hold at most 4 bytes"):
        files.read_bounded(path, 4)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_that_is_too_long_is_named(tmp_path, monkeypatch, end):
    monkeypatch.setattr(files, "LONGEST_LINE", 8)
    path = tmp_path / "table.csv"
    path.write_text("\ufeff1234567\n12345678" + end, encoding="utf-8")
    with files.text_lines(path) as lines:
        if end:
            assert next(lines) == "1234567\n"
            with pytest.raises(OSError, match="line 2 has more than 8 characters"):
                next(lines)
        else:
            assert list(lines) == ["1234567\n", "12345678"]
