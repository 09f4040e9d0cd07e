"""Real processes under an MPI launcher: what they train, and how they end."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cnncli.training.loop.session import RunOptions, read_data, train
from tests import servers
from tests.distributed import ranks
from tests.training import small

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
MPIS = pytest.mark.parametrize("mpi", ["mpich", "openmpi"])


def launch(size, *command, mpi="mpich", seconds=120, **variables):
    """Run a Python command in so many processes: exit code, standard output and error, and the seconds it took."""
    launcher, needed = servers.launcher(mpi)
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", **needed, **variables}
    start = time.perf_counter()
    done = subprocess.run(
        [*launcher, "-n", str(size), sys.executable, *command],
        *(),
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr, time.perf_counter() - start


@pytest.mark.parametrize(
    ("mpi", "size", "cases"),
    [("mpich", 2, tuple(ranks.CASES)), ("mpich", 4, ("sharded",)), ("openmpi", 2, ("synchronized", "sharded"))],
)
def test_processes_find_what_one_does(tmp_path, mpi, size, cases):
    """To rounding where batches are normalized as a whole, and to the bit in shards, also resumed by one process."""
    servers.launcher(mpi)
    small.write_data(tmp_path)
    alone = {case: ranks.run(tmp_path, case, f"{case}-1") for case in cases}
    code, _, errors, _ = launch(size, "-m", "tests.distributed.ranks", str(tmp_path), *cases, mpi=mpi)
    assert (code, errors) == (0, "")
    together = json.loads((tmp_path / f"found-{size}.json").read_text())
    assert together["sharded"] == alone["sharded"]
    for case in {"synchronized", "augmented"} & set(cases):
        for part in ("figures", "test"):
            assert together[case][part] == pytest.approx(alone[case][part], rel=1e-3)
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


@MPIS
def test_a_command_that_is_not_shared_out_is_run_by_the_first_process(mpi):
    code, printed, errors, _ = launch(2, "-m", "cnncli", "check", str(SMOKE), mpi=mpi)
    assert (code, len(printed.splitlines()), errors) == (0, 1, "")


ENDING = """
from cnncli.errors import CnncliError
from cnncli.training.distributed.launch import group, together
with together():
    if group().rank == 1:
        raise CnncliError("the disk is full")
    group().gather(0)
"""


@MPIS
def test_a_process_that_fails_alone_says_why_and_ends_the_others(mpi):
    code, _, errors, seconds = launch(2, "-c", ENDING, mpi=mpi)
    assert code == 1
    assert "error: process 1: the disk is full" in errors.splitlines()
    assert seconds < 30


KILLED = """
import os, signal, time
from cnncli.training.distributed.launch import group, together
with together():
    if group().on_saved:
        group().on_saved("cnncli train --resume RUN")
    group().gather(0)
    if group().rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    {}
"""


@MPIS
@pytest.mark.parametrize("meanwhile", ["group().gather(0)", "time.sleep(60)"])
def test_a_process_that_is_killed_ends_the_others_with_the_command_that_resumes(mpi, meanwhile):
    code, _, errors, seconds = launch(2, "-c", KILLED.format(meanwhile), mpi=mpi)
    assert code != 0
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert line == (
        f"error: process 1 on {socket.gethostname()} has ended, and all others with it. "
        "To resume from the last checkpoint: mpiexec -n 2 cnncli train --resume RUN"
    )
    assert seconds < 30


LEFT = """
import subprocess, sys, time
from cnncli.training.distributed import watch
watch.PATIENCE = 0.2
with watch.Watch() as watched:
    other = subprocess.Popen(["sleep", "60"])
    host, namespace, _ = watch.place()
    watched.tell("everyone", [watch.place(), ("elsewhere", namespace, 1), (host, namespace, other.pid)])
    {}
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no files for processes")
@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        ("other.kill(); time.sleep(60)", -9, "process 2 on {host} has ended, and all others with it"),
        ("import os; os.kill(os.getpid(), 9)", -9, "a process has ended, and all others with it"),
        ("other.kill()", 0, ""),
    ],
)
def test_processes_that_a_launcher_leaves_are_ended_by_the_watch(ending, code, told):
    done = subprocess.run(
        [sys.executable, "-c", LEFT.format(ending)], capture_output=True, text=True, timeout=30, check=False
    )
    expected = f"error: {told.format(host=socket.gethostname())}. Nothing was saved yet\n" if told else ""
    assert (done.returncode, done.stderr) == (code, expected)
