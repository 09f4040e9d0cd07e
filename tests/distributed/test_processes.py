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
    assert together["sharded"] == together["resumed"] == alone["sharded"]
    for case in {"synchronized", "augmented"} & set(cases):
        for mine, theirs in zip(together[case]["epochs"], alone[case]["epochs"], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-4)
        assert together[case]["test"] == pytest.approx(alone[case]["test"], rel=1e-4)
    if "alone" in cases:  # batches that each process normalizes alone are others
        losses = ([epoch["loss"] for epoch in found["alone"]["epochs"]] for found in (together, alone))
        assert next(losses) != pytest.approx(next(losses), rel=1e-3)
    assert "interrupted in epoch 2 after batch" in together["interrupted"]
    assert f"To resume: mpiexec -n {size} cnncli train --resume " in together["interrupted"]
    assert ranks.run(tmp_path, "sharded", "", resume=tmp_path / f"interrupted-{size}") == alone["sharded"]


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
    assert (code, printed.count(" parameters "), errors) == (0, 1, "")  # Open MPI has a terminal, where lines end early


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["tune", str(SMOKE)], "tune has workers of its own (--workers), and machines share a study (--storage); "),
        (["train", str(SMOKE), "--deterministic-check"], "--deterministic-check proves that the threads of one "),
        (["train", str(SMOKE), "--epochs", "-1"], "--epochs must be an integer"),
    ],
)
def test_misuse_of_several_processes_is_one_line(command, told):
    code, printed, errors, _ = launch(2, "-m", "cnncli", *command)
    assert (code, printed, len(errors.splitlines())) == (2, "", 1)
    assert told in errors


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
    assert (code, "error: process 1: the disk is full" in errors.splitlines()) == (1, True), errors
    assert seconds < 30


KILLED = """
import os, signal, time
from cnncli.training.distributed.launch import group, together
with together():
    if group().on_saved:
        group().on_saved(f"{group().launcher}cnncli train --resume RUN")
    group().gather(0)
    if group().rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    MEANWHILE
"""


@MPIS
@pytest.mark.parametrize("meanwhile", ["group().gather(0)", "time.sleep(60)"])
def test_a_process_that_is_killed_ends_the_others_with_the_command_that_resumes(mpi, meanwhile):
    code, _, errors, seconds = launch(2, "-c", KILLED.replace("MEANWHILE", meanwhile), mpi=mpi)
    assert code != 0
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    which, _, resume = line.removeprefix("error: ").partition(" has ended, and all others with it. ")
    assert which in (f"process 1 on {socket.gethostname()}", "a process")  # which was the first may be too close
    assert resume == "To resume from the last checkpoint: mpiexec -n 2 cnncli train --resume RUN"
    assert seconds < 30


LEFT = """
import os, subprocess, sys, time
from cnncli.training.distributed import watch
watch.PATIENCE = 0.2
OTHER = "import sys, time; from cnncli.training.distributed import watch; "
OTHER += "line = watch.be_watched(sys.argv[1], int(sys.argv[2])); print(1, end='', flush=True); time.sleep(60)"
with watch.Watch() as watched:
    watched.tell("size", {size})
    name = watched.address
    others = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER.replace("sys.argv[1]", repr(name)), "", str(rank)], stdout=subprocess.PIPE
        )
        for rank in (1, 2)
    ]
    for other in others:
        other.stdout.read(1)
    {ending}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no sockets without a file")
@pytest.mark.parametrize(
    ("size", "ending", "code", "which"),
    [
        (3, "others[1].kill(); time.sleep(60)", -9, "process 2 on {host}"),
        (3, "os.kill(os.getpid(), 9)", -9, "process 0 on {host}"),
        (4, "os.kill(os.getpid(), 9)", -9, "a process"),  # or one on another machine
        (3, "for other in others: other.kill()", 0, ""),
    ],
)
def test_processes_that_a_launcher_leaves_are_ended_by_the_watch(size, ending, code, which):
    """The others have this test's standard error: it is at an end when all of them have ended."""
    command = [sys.executable, "-c", LEFT.format(size=size, ending=ending)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    which = which.format(host=socket.gethostname())
    told = f"error: {which} has ended, and all others with it. Nothing was saved yet\n" if which else ""
    assert (done.returncode, done.stderr) == (code, told)
