"""In whatever environment cnncli is started: a right exit code, one line of error, no traceback, no bug."""

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
SPEC = """\
data: {dataset: {synthetic: {image_shape: [8, 8, 1], classes: 3, train: 60, test: 12}}, validation_split: 0.1}
model: {layers: [Flatten, Dense: {units: 3, activation: softmax}]}
compile: {optimizer: {SGD: {learning_rate: 0.01}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 1}
"""
COMMANDS = (("check", "tiny.yaml"), ("summary", "tiny.yaml"), ("train", "tiny.yaml"), ("train", "tiny.yaml", "--json"))
JUNK = ("", "0", "1", "-1", "xyz", "é")
PLACES = ("", ".", "here", "tiny.yaml", "tiny.yaml/below", "/proc/nowhere", "~nobody/x", "n" * 300, "\udcff")
VARIABLES = {
    **{
        f"NUMBA_{name}": JUNK
        for name in ("OPT", "DISABLE_JIT", "BOUNDSCHECK", "DEBUGINFO", "LOOP_VECTORIZE", "SHOW_HELP")
    },
    **{f"NUMBA_{name}": JUNK for name in ("CAPTURED_ERRORS", "FUNCTION_CACHE_SIZE", "CUDA_USE_NVIDIA_BINDING")},
    "NUMBA_THREADING_LAYER": (*JUNK, "omp", "tbb", "workqueue", "default"),
    "NUMBA_THREADING_LAYER_PRIORITY": (*JUNK, "tbb omp workqueue"),
    "NUMBA_NUM_THREADS": (*JUNK, "3", "999", "99999999999999999999", "٣"),
    "NUMBA_CPU_FEATURES": (*JUNK, "+fma,-avx512f", "+fma,,"),
    "NUMBA_CACHE_DIR": PLACES,
    "CNNCLI_CACHE_DIR": PLACES,
    "XDG_CACHE_HOME": PLACES,
    "HOME": PLACES,
    "TMPDIR": PLACES,
    "CNNCLI_OFFLINE": JUNK,
    "CNNCLI_DEBUG": ("", "0", "yes"),
    "TERM": ("", "dumb", "xterm-256color", "\x1b"),
    "COLUMNS": (*JUNK, "10", "1000000"),
    "LINES": JUNK,
    "NO_COLOR": JUNK,
    "FORCE_COLOR": JUNK,
    "LANG": ("", "C", "xx_YY", "de_DE.ISO-8859-1"),
    "LC_ALL": ("", "C", "xx_YY.UTF-8"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "ascii:replace"),
    "PYTHONUNBUFFERED": ("", "1"),
    "PYTHONOPTIMIZE": ("", "1", "2"),
    "PYTHONUTF8": ("0", "1"),
    "GITHUB_ACTIONS": ("true", "xyz"),
    "GITHUB_STEP_SUMMARY": ("", ".", "page.md", "/proc/nowhere", "n" * 300, "/dev/full"),
    "OMP_NUM_THREADS": JUNK,
    "OMP_WAIT_POLICY": (*JUNK, "active"),
    "OPENBLAS_NUM_THREADS": JUNK,
}
STREAMS = ("open", "closed", "full")
LIMITS = (
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_FSIZE, 3000),
    (resource.RLIMIT_NOFILE, 20),  # with a few less Python itself does not start
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_AS, 200 << 20),
    (resource.RLIMIT_AS, 300 << 20),
)
FOREIGN = re.compile(r"libgomp: |OMP: |OpenBLAS |'.*' is not a recognized (processor|feature) for this target|$")
"""Lines on standard error that libraries in C write past Python."""


class World(NamedTuple):
    """What a process finds: variables, what its input, output and error streams are, limits."""

    variables: Mapping[str, str]
    streams: tuple[str, str, str] = ("open", "open", "open")
    limits: tuple[tuple[int, int], ...] = ()


worlds = st.builds(
    World,
    st.lists(st.sampled_from(sorted(VARIABLES)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: st.sampled_from(VARIABLES[name]) for name in names})
    ),
    st.tuples(*[st.sampled_from(STREAMS)] * 3) | st.just(("open",) * 3),
    st.lists(st.sampled_from(LIMITS), max_size=1).map(tuple),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, and kernels that are compiled."""
    place = tmp_path_factory.mktemp("environment")
    (place / "tiny.yaml").write_text(SPEC)
    assert run(place, COMMANDS[2], World({})).returncode == 0
    return place


def run(folder: Path, arguments: tuple[str, ...], world: World) -> "subprocess.CompletedProcess[bytes]":
    """Run cnncli in a world; standard error is empty where it is closed or full."""
    own = {"PYTHONPATH": str(ROOT), "CNNCLI_CACHE_DIR": str(folder / "cache"), "PATH": os.environ["PATH"]}

    def enter() -> None:
        for number, stream in enumerate(world.streams):
            if stream == "closed":
                os.close(number)
            elif stream == "full":
                os.dup2(os.open("/dev/full", os.O_RDWR), number)
        for kind, amount in world.limits:
            resource.setrlimit(kind, (amount, amount))

    shutil.rmtree(folder / "runs", ignore_errors=True)
    return subprocess.run(
        [sys.executable, "-m", "cnncli", *arguments],
        cwd=folder,
        env={**own, **world.variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=enter,
        check=False,
        timeout=300,
    )


@pytest.mark.long
@settings(max_examples=settings.default.max_examples // 16)
@given(arguments=st.sampled_from(COMMANDS), world=worlds)
def test_no_environment_is_a_bug(folder: Path, arguments: tuple[str, ...], world: World) -> None:
    done = run(folder, arguments, world)
    encoding = world.variables.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
    lines = done.stderr.decode(encoding, "replace").splitlines()
    ours = [line for line in lines if not FOREIGN.match(line)]
    assert done.returncode in (0, 1, 2), done
    assert "Traceback" not in "\n".join(lines), done
    assert "a bug in cnncli" not in "\n".join(lines), done
    told = [line for line in ours if line.startswith("error: ")]
    assert len(told) <= 1, done
    assert all(line.startswith(("error: ", "notice: ", "warning: ", "::error::")) for line in ours), done
    if done.returncode and world.streams[2] == "open" and len(ours) == len(lines):
        assert told, done
