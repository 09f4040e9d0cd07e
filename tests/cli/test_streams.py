"""Standard streams that are closed or full: what is told, and the exit code. Each command is a process of its own."""

import os
import subprocess
import sys

import pytest

from tests.cli.test_train import SPEC, child_environment
from tests.training import small
from tests.training.small import outcome

CLOSED = "error: the output can't be written: standard output is closed\n"
FULL = "error: the output can't be written: No space left on device\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("streams")
    small.write_data(place)
    (place / "bars.yaml").write_text(SPEC)
    return place


def run(folder, *arguments, closed=(), full=()):
    """Run cnncli with some of its standard streams closed, and some that take nothing."""

    def enter():
        for number in closed:
            os.close(number)
        for number in full:
            os.dup2(os.open("/dev/full", os.O_WRONLY), number)

    return subprocess.run(
        [sys.executable, "-m", "cnncli", *arguments],
        cwd=folder,
        env=child_environment(),
        capture_output=True,
        text=True,
        preexec_fn=enter,
        check=False,
    )


@pytest.mark.parametrize(("streams", "said"), [({"closed": [1]}, CLOSED), ({"full": [1]}, FULL)])
@pytest.mark.parametrize("command", [("check", "bars.yaml"), ("summary", "bars.yaml"), ("--version",), ("layers",)])
def test_results_that_nobody_can_get_are_an_error(folder, command, streams, said):
    done = run(folder, *command, **streams)
    assert (done.returncode, done.stderr) == (1, said)


def test_a_training_keeps_its_results_in_its_run_and_needs_no_output(folder):
    done = run(folder, "train", "bars.yaml", "--epochs", "1", "--output", "mute", closed=[0, 1])
    assert (done.returncode, done.stderr) == (
        0,
        "warning: standard output is closed; metrics are still saved in the run\n",
    )
    assert (folder / "mute/result.json").is_file()
    evaluated = run(folder, "evaluate", "mute", closed=[1])
    assert (evaluated.returncode, evaluated.stderr) == (1, CLOSED)


def test_no_file_takes_the_place_of_a_closed_stream(folder):
    """The least free descriptor would be the first file's, into which all that is printed would go."""
    assert run(folder, "train", "bars.yaml", "--epochs", "1", "--output", "deaf", closed=[0, 1, 2]).returncode == 0
    assert run(folder, "train", "bars.yaml", "--epochs", "1", "--output", "whole").returncode == 0
    assert outcome(folder / "deaf") == outcome(folder / "whole")
    for name in ("spec.yaml", "result.json"):
        assert (folder / "deaf" / name).read_bytes() == (folder / "whole" / name).read_bytes()


@pytest.mark.parametrize("streams", [{"full": [2]}, {"closed": [2]}, {"full": [1, 2]}, {"closed": [0, 1, 2]}])
@pytest.mark.parametrize(
    ("command", "code"), [(("chekc",), 2), (("check", "none.yaml"), 2), (("evaluate", "bars.npz"), 1)]
)
def test_an_error_that_can_not_be_told_has_its_exit_code(folder, command, code, streams):
    assert run(folder, *command, **streams).returncode == code


def test_notices_that_can_not_be_told_stop_nothing(folder):
    (folder / "runs/bars/latest").mkdir(parents=True, exist_ok=True)
    done = run(folder, "train", "bars.yaml", "--epochs", "1", full=[2])
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2].startswith("run   runs/bars/2")
