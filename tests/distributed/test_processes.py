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


@pytest.mark.parametrize("size", [2, 4])
def test_processes_find_what_one_does(tmp_path, size):
    """To rounding where batches are normalized as a whole, and to the bit in shards, also resumed by one process."""
    small.write_data(tmp_path)
    cases = ranks.CASES if size == 2 else ("sharded",)
    alone = {case: ranks.run(tmp_path, case, f"{case}-1") for case in cases}
    code, _, errors, _ = launch(size, "-m", "tests.distributed.ranks", str(tmp_path), *cases)
    assert (code, errors) == (0, "")
    together = json.loads((tmp_path / f"found-{size}.json").read_text())
    assert together["sharded"] == alone["sharded"]
    for case in {"synchronized", "augmented"} & set(cases):
        for part in ("figures", "test"):
            assert together[case][part] == pytest.approx(alone[case][part], rel=1e-4)
    if "alone" in cases:  # batches that each process normalizes alone are others
        assert together["alone"]["figures"]["loss"] != pytest.approx(alone["alone"]["figures"]["loss"], rel=1e-3)
    assert "interrupted in epoch 2 after batch" in together["interrupted"]
    wanted, run = ranks.plan(tmp_path, "sharded"), RunOptions(resume=tmp_path / f"interrupted-{size}")
    result = train(wanted, read_data(wanted), run, 1, lambda event: None)
    assert result.digest == alone["sharded"]["digest"]


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
