"""`cnncli doctor` in processes of its own: what it tells, and its exit code."""

import json
import platform
from importlib.metadata import version

import numba
import pytest

from cnncli.training.resources import threads
from tests.cli.test_commands import cnncli


@pytest.fixture
def cache(tmp_path):
    return {"CNNCLI_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_NUM_THREADS": str(threads.available())}


def test_it_tells_what_there_is(tmp_path, cache):
    done = cnncli("doctor", "--json", cwd=tmp_path, **cache)
    document = json.loads(done.stdout)
    assert done.returncode == int(bool(document["problems"]))
    assert done.stderr == ""
    assert document["software"]["python"] == platform.python_version()
    assert document["software"]["numba"] == version("numba") == numba.__version__
    assert document["threads"]["used"] == threads.available()
    assert document["speed"]["peak_gflops"]["1"] > 0
    assert document["environment"]["CNNCLI_CACHE_DIR"] == cache["CNNCLI_CACHE_DIR"]
    assert document["caches"]["jit"] > 0  # the measurement itself was compiled and kept
    assert document["runs"] == {"count": 0}


def test_what_is_amiss_is_told_at_the_end_and_is_exit_code_1(tmp_path, cache):
    narrow = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse2", "CNNCLI_CACHE_DIR": "/proc/nowhere"}
    done = cnncli("doctor", cwd=tmp_path, **{**cache, **narrow})
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    _, _, told = done.stdout.partition("problems:\n")
    assert "unset NUMBA_CPU_NAME and NUMBA_CPU_FEATURES" in told
    assert "can't be made: No such file or directory: kernels are compiled anew each time" in told


def test_without_a_compiler_it_still_tells_the_rest(tmp_path, cache):
    done = cnncli("doctor", cwd=tmp_path, **cache, NUMBA_DISABLE_JIT="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "NUMBA_DISABLE_JIT is set, so kernels can't be compiled: unset it" in done.stdout


def test_cleaning_says_how_much_it_removed(tmp_path, cache):
    old = tmp_path / "cache" / "jit" / ("0" * 16)
    old.mkdir(parents=True)
    (old / "k.nbc").write_bytes(b"x" * 2_000_000)
    done = cnncli("doctor", "--clean", cwd=tmp_path, **cache)
    assert (done.returncode, old.exists()) == (0, False)
    assert done.stdout.splitlines() == [
        "removed 2.0 MB in 1 folder: kernels compiled by other versions or for other processors",
        "removed 0.0 MB in 0 folders: decoded images",
    ]
    removed = json.loads(cnncli("doctor", "--clean", "--json", cwd=tmp_path, **cache).stdout)
    assert removed == {"removed": {kind: {"folders": 0, "bytes": 0} for kind in ("jit", "images")}}
