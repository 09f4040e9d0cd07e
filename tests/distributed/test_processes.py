"""Real processes under an MPI launcher: what they train, and how they end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("mpi4py")

from cnncli.training.loop.session import RunOptions, read_data, train
from tests.distributed import ranks
from tests.training import small

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
LAUNCHER = Path(sys.prefix) / "bin" / "mpiexec"
pytestmark = pytest.mark.skipif(not LAUNCHER.exists(), reason="no MPI launcher is installed in this environment")


def launch(size, *command, seconds=120, **variables):
    """Run a Python command in so many processes: exit code, standard output and error, and the seconds it took."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", **variables}
    start = time.perf_counter()
    done = subprocess.run(
        [LAUNCHER, "-n", str(size), sys.executable, *command],
        *(),
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr, time.perf_counter() - start


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What 1, 2 and 4 processes have found, and the folder of their runs."""
    folder = tmp_path_factory.mktemp("ranks")
    small.write_data(folder)
    by_size = {1: {case: ranks.run(folder, case, f"{case}-1") for case in ranks.CASES}}
    for size in (2, 4):
        code, _, errors, _ = launch(size, "-m", "tests.distributed.ranks", str(folder))
        assert (code, errors) == (0, "")
        by_size[size] = json.loads((folder / f"found-{size}.json").read_text())
    return folder, by_size


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("case", ["synchronized", "augmented"])
def test_processes_find_what_one_does_to_rounding(found, size, case):
    _, by_size = found
    alone, together = by_size[1][case], by_size[size][case]
    for part in ("figures", "test"):
        assert together[part].keys() == alone[part].keys()
        assert all(together[part][name] == pytest.approx(alone[part][name], rel=1e-3) for name in alone[part])


def test_batches_normalized_by_each_process_alone_are_others(found):
    _, by_size = found
    assert by_size[2]["alone"]["figures"]["loss"] != pytest.approx(by_size[1]["alone"]["figures"]["loss"], rel=1e-3)


def test_with_shards_any_number_of_processes_finds_the_same_bits(found):
    _, by_size = found
    digests = {size: made["sharded"] for size, made in by_size.items()}
    assert digests[2] == digests[1]
    assert digests[4] == digests[1]


@pytest.mark.parametrize("size", [2, 4])
def test_a_signal_to_one_process_stops_all_and_one_process_can_resume(found, size):
    folder, by_size = found
    assert "interrupted in epoch 2 after batch" in by_size[size]["interrupted"]
    wanted = ranks.plan(folder, "sharded")
    result = train(wanted, read_data(wanted), RunOptions(resume=folder / f"interrupted-{size}"), 1, lambda event: None)
    assert result.digest == by_size[1]["sharded"]["digest"]


def test_only_the_first_process_judges_and_reports(tmp_path):
    """The others do not have the run, from which comes what `loss: decreasing` needs."""
    summary, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    changes = [
        "fit.steps_per_epoch=3",
        "fit.validation_steps=1",
        "fit.epochs=2",
        "expect.loss=decreasing",
        "expect.test_accuracy=>= 0",
    ]
    options = [part for change in changes for part in ("--set", change)]
    places = ["--output", str(tmp_path / "run"), "--junit", str(junit)]
    command = ["-m", "cnncli", "train", str(SMOKE), "--quiet", *options, *places]
    code, _, errors, _ = launch(2, *command, GITHUB_STEP_SUMMARY=str(summary))
    assert (code, errors) == (0, "")
    assert summary.read_text().count("### train smoke") == 1
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "0")


ENDING = """
import os, signal, sys
from cnncli.errors import CnncliError
from cnncli.training.distributed.launch import group, together
with together():
    if group().rank == 1:
        {}
    group().gather(0)
"""


def test_a_process_that_fails_alone_says_why_and_ends_the_others():
    code, _, errors, seconds = launch(2, "-c", ENDING.format('raise CnncliError("the disk is full")'))
    assert code == 1
    assert "error: process 1: the disk is full" in errors.splitlines()
    assert seconds < 30


def test_a_process_that_is_killed_ends_the_others():
    code, _, _, seconds = launch(2, "-c", ENDING.format("os.kill(os.getpid(), signal.SIGKILL)"))
    assert code != 0
    assert seconds < 30
