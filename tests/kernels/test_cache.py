"""The cache folder is private and absolute, and nothing that lies in it can keep kernels from being compiled."""

import os
import subprocess
import sys

import pytest

from cnncli.kernels.jit import cache

MODULE = "cnncli.kernels.elementwise.activations"
RELU = """
import numpy as np
from cnncli.kernels.elementwise import activations
from cnncli.kernels.jit import cache, runtime
x = np.array([1.0, -1.0])
runtime.run(activations.forward("relu", runtime.tensor(x), runtime.tensor(x)))
print(cache.ENABLED, x.tolist())
"""


SMALL = """
import numba
from cnncli.kernels.jit import cache
def relu(x):
    return max(x, 0.0)
compiled = cache.compiled(__name__, "relu", lambda kept: numba.cfunc("float64(float64)", cache=kept)(relu))
print(cache.ENABLED, [compiled.ctypes(x) for x in (1.0, -1.0)])
"""
"""Without the driver, which takes seconds to compile."""


def process(folder, *command, **streams):
    """A process that compiles and runs a kernel."""
    environment = {**os.environ, "CNNCLI_CACHE_DIR": str(folder)}
    command = [sys.executable, *(command or ("-c", RELU))]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **streams)


def output(running):
    text = running.communicate(timeout=120)[0]
    assert running.returncode == 0
    return text.strip()


def test_first_runs_at_one_time_and_a_run_on_files_cut_short_give_the_right_numbers(tmp_path, small):
    both = [process(tmp_path, small), process(tmp_path, small)]
    assert [output(running) for running in both] == ["True [1.0, 0.0]"] * 2
    files = list(tmp_path.rglob("*.nb?"))
    assert {file.suffix for file in files} == {".nbi", ".nbc"}
    for file in files:
        os.truncate(file, 100)
    assert output(process(tmp_path, small)) == "True [1.0, 0.0]"
    assert all(file.stat().st_size > 100 for file in tmp_path.rglob("*.nb?"))


def test_a_file_with_a_flipped_bit_is_never_run(tmp_path, small):
    assert output(process(tmp_path, small)) == "True [1.0, 0.0]"
    files = list(tmp_path.rglob("*.nb?"))
    for number, file in enumerate(files):
        content = bytearray(file.read_bytes())
        content[len(content) * (number + 1) // (len(files) + 1)] ^= 1 << number % 8
        file.write_bytes(content)
    damaged = {file: file.read_bytes() for file in files}
    assert output(process(tmp_path, small)) == "True [1.0, 0.0]"
    assert all(not file.exists() or file.read_bytes() != content for file, content in damaged.items())
    assert all(cache._seal_of(file).read_text() == cache._sha256(file) for file in tmp_path.rglob("*.nb?"))


def test_a_file_whose_writer_was_killed_before_it_was_sealed_is_removed(place):
    for name, seal in (("whole.nbc", True), ("unsealed.nbc", False)):
        (place / name).parent.mkdir(exist_ok=True, parents=True, mode=0o700)
        (place / name).write_bytes(b"code")
        if seal:
            cache.seal(place)
    cache.remove_unsealed(place)
    assert [file.name for file in place.rglob("*.nb?")] == ["whole.nbc"]


def test_without_a_folder_kernels_are_compiled_all_the_same(tmp_path):
    (tmp_path / "file").touch()
    assert output(process(tmp_path / "file")) == "False [1.0, 0.0]"


def test_the_folder_is_absolute_and_the_home_directory_is_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, expected in (("here", "here"), ("~/there", "home/there"), ("", "home/.cache/cnncli")):
        monkeypatch.setenv("CNNCLI_CACHE_DIR", given)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        assert cache.folder() == tmp_path / expected / "jit" / cache.digest()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg/cnncli/jit" / cache.digest()


@pytest.fixture
def small(tmp_path):
    """The file of a small kernel: Numba keeps what is compiled from a file."""
    file = tmp_path / "small.py"
    file.write_text(SMALL)
    return file


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder that `prepare` wants, not there yet."""
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path))
    folder = cache.folder()
    folder.parent.mkdir()
    return folder


def test_the_folder_is_made_for_its_owner_alone(place):
    assert cache.prepare() == ""
    assert place.stat().st_mode & 0o777 == 0o700
    assert cache.prepare() == ""


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_folder_that_others_may_enter_is_refused(place, mode):
    place.mkdir()
    place.chmod(mode)
    assert str(place) in cache.prepare()


def test_a_folder_of_somebody_else_is_refused(place, monkeypatch):
    place.mkdir(mode=0o700)
    owner = os.getuid()
    if owner == 0:
        os.chown(place, 4321, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert "belongs to another user" in cache.prepare()


def test_a_link_is_refused_wherever_it_leads(place, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    assert "must be a folder for its owner alone" in cache.prepare()


@pytest.mark.parametrize("above", [".", "jit"])
def test_below_a_folder_that_others_can_change_nothing_is_kept_and_a_warning_says_why(tmp_path, small, above):
    """Whoever can write there could put a folder of his own in the place of ours: his pickles would run as ours."""
    folder = tmp_path / "shared" / "cache"
    (folder / "jit").mkdir(parents=True, mode=0o700)
    changed = folder.parent if above == "." else folder / above
    changed.chmod(0o777)
    printed, warned = process(folder, small, stderr=subprocess.PIPE).communicate(timeout=120)
    assert printed.strip() == "False [1.0, 0.0]"
    assert warned == (
        f"warning: compiled kernels are not kept: {changed} is writable by everyone (chmod go-w {changed}); "
        "set CNNCLI_CACHE_DIR to another directory\n"
    )
    assert list(folder.rglob("*.nb?")) == []


def test_a_full_disk_costs_only_the_cache_and_a_mistake_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    monkeypatch.setattr(cache, "ENABLED", True)

    def full(kept):
        if kept:
            raise OSError("No space left on device")
        return "compiled"

    assert cache.compiled(MODULE, "full", full) == "compiled"
    with pytest.raises(ZeroDivisionError):
        cache.compiled(MODULE, "mistaken", lambda kept: 1 // 0)
