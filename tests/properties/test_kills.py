"""A training that is killed at any time resumes to the same bits and logs, or is said not to have begun.

`python -m tests.properties.test_kills COUNT FOLDER` tells how COUNT kills of a training end that saves every few
milliseconds. The training runs in forked processes, which need not import everything anew; GNU OpenMP does not survive
a fork: NUMBA_THREADING_LAYER=workqueue.
"""

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cnncli.errors import CnncliError
from tests.training import small
from tests.training.loggers import training
from tests.training.loggers.test_tensorboard import points

ROOT = Path(__file__).parents[2]
COUNT = 200
EPOCHS = 25
LOGGERS = ("csv", {"tensorboard": {"update_freq": 2}})
DONE = "had come to its end before"
NEVER = ("there is nothing to resume", "no such run", "is no run")
"""What is said of a run that never began."""


def plan(folder: Path):
    """A training that saves after every epoch, of six batches, with state of every kind."""
    callbacks = [
        {"EarlyStopping": {"patience": 25, "restore_best_weights": True}},
        {"ReduceLROnPlateau": {"patience": 1, "factor": 0.9}},
    ]
    return small.plan(folder, epochs=EPOCHS, callbacks=callbacks)


def forked(work: Callable[[], int]) -> int:
    """Start a process that does the work; its number. It ends with what the work returns."""
    number = os.fork()
    if number:
        return number
    code = 99
    try:
        with contextlib.suppress(BaseException):
            code = work()
    finally:
        os._exit(code)


def ended(number: int) -> int:
    """The exit code of a process, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def train(folder: Path, run: Path) -> int:
    """Train into `run`."""
    training.train(plan(folder), LOGGERS, run)
    return 0


def kept(run: Path) -> dict[str, object]:
    """The outcome of a run, with its logs: rows of the CSV file, points of TensorBoard's epochs."""
    logs = {name: points(run / "logs" / name) for name in ("train", "validation")}
    of_epochs = {
        name: {key: values for key, values in found.items() if key[0].startswith("epoch_")}
        for name, found in logs.items()
    }
    return {**small.outcome(run), "log.csv": (run / "log.csv").read_bytes(), **of_epochs}


def resume(folder: Path, run: Path) -> int:
    """Resume the run: 0 if it then has the bits of the straight one, 1 if it has others, 2 if it never began."""
    try:
        training.train(plan(folder), LOGGERS, resume=run)
    except CnncliError as error:
        if any(words in str(error) for words in NEVER):
            return 2
        print(f"wrong: {error}", flush=True)
        return 3
    found, straight = kept(run), kept(folder / "straight")
    for name in straight:
        if found[name] != straight[name]:
            print(f"other bits in {name}", flush=True)
    return int(found != straight)


def begun(run: Path, process: int) -> bool:
    """Wait until the run can be resumed; False if its process ends before."""
    while not (run / "last.safetensors").exists():
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        time.sleep(0.0005)
    return True


def kill(folder: Path, number: int, early: float, late: float, torn: Counter) -> str:
    """Kill a training `early` seconds after its start, or `late` seconds after it began to save, if that is not 0; how
    it ended, in words. `torn` counts what lay around then.
    """
    run = folder / f"{number}"
    process = forked(lambda: train(folder, run))
    if late and begun(run, process):
        time.sleep(late)
    else:
        time.sleep(early)
    os.kill(process, signal.SIGKILL)
    if ended(process) == 0:
        return DONE
    torn["a temporary file"] += any(run.glob(".*.tmp"))
    torn["a checkpoint"] += (run / "last.safetensors").exists()
    again = ended(forked(lambda: resume(folder, run)))
    left = sorted(path.name for path in run.glob(".*")) if run.exists() else []
    said = {0: "resumed to the same bits", 2: "said that it never began"}
    return f"wrong: left {left}" if left and again == 0 else said.get(again, f"wrong: {again}")


def main(count: int, folder: Path) -> int:
    """Kill `count` trainings at random times; 1 if one of them ended wrong."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # runs/ of here knows the runs
    small.write_data(folder)
    assert ended(forked(lambda: train(folder, folder / "warm"))) == 0
    start = time.perf_counter()
    process, run = forked(lambda: train(folder, folder / "straight")), folder / "straight"
    assert begun(run, process)
    before = time.perf_counter() - start
    assert ended(process) == 0
    saving, chosen = time.perf_counter() - start - before, random.Random(count)
    ends, torn = Counter(), Counter()
    for number in itertools.count():
        if ends.total() - ends[DONE] == count:
            break
        late = chosen.uniform(0, saving) if number % 8 else 0.0
        ends[kill(folder, number, chosen.uniform(0, before), late, torn)] += 1
        shutil.rmtree(folder / f"{number}", ignore_errors=True)
    for end, times in [*sorted(ends.items()), *sorted((f"found {name}", n) for name, n in torn.items())]:
        print(f"{times:4}  {end}")
    return int(any(end.startswith("wrong") for end in ends))


@pytest.mark.long
def test_what_is_killed_resumes_to_the_same_bits(tmp_path, pytestconfig):
    if not pytestconfig.getoption("--long"):
        pytest.skip("200 kills take a minute or two: --long")
    command = [sys.executable, "-m", "tests.properties.test_kills", str(COUNT), str(tmp_path / "kills")]
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
