"""Settings and limits under which Numba can't work, and what is said of them."""

import resource
import subprocess
import sys

import pytest

from tests.cli.test_train import SPEC, child_environment
from tests.training import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("compiler")
    small.write_data(place)
    (place / "bars.yaml").write_text(SPEC)
    return place


def train(folder, limit=None, **variables):
    command = [sys.executable, "-m", "cnncli", "train", "bars.yaml", "--epochs", "1"]

    def enter():
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    environment = {**child_environment(), **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, preexec_fn=enter, check=False
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "DISABLE_JIT",
            "1",
            "NUMBA_DISABLE_JIT is set, and without Numba's compiler nothing can be computed: unset it",
        ),
        (
            "OPT",
            "xyz",
            "Numba can't work with NUMBA_OPT=xyz: Environment variable 'NUMBA_OPT' is defined but its associ",
        ),
        (
            "BOUNDSCHECK",
            "",
            "Numba can't work with NUMBA_BOUNDSCHECK=: Environment variable 'NUMBA_BOUNDSCHECK' is defi",
        ),
        (
            "THREADING_LAYER",
            "xyz",
            "Numba can't work with NUMBA_THREADING_LAYER=xyz: The threading layer requested 'xy",
        ),
        (
            "CPU_FEATURES",
            "fma",
            "NUMBA_CPU_FEATURES must be names with + or - before them, like +avx2,-fma; received '",
        ),
    ],
)
def test_a_setting_that_numba_can_not_work_with_is_named(folder, name, value, said):
    done = train(folder, **{f"NUMBA_{name}": value})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert done.stderr.startswith(f"error: {said}")
    assert not (folder / "runs").exists()


def test_numbas_file_of_settings_is_named(folder):
    file = folder / ".numba_config.yaml"
    file.write_text("opt: xyz")
    try:
        done = train(folder)
    finally:
        file.unlink()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert done.stderr.startswith("error: Numba can't work with .numba_config.yaml: ")


def test_too_little_memory_for_the_libraries_is_told(folder):
    done = train(folder, limit=300_000 << 10)
    assert done.returncode == 1
    assert done.stderr == (
        "error: there is not enough memory to load the libraries that cnncli needs; `ulimit -v` may limit it\n"
    )
