"""A full or broken disk, a kill and lost power, at each operation of a training that changes files.

What fails is one line with exit code 1, or of a log one warning; the last good checkpoint is intact and resumes to the
bits of the straight training, with the same CSV log; a run that never began leaves nothing. `--long` tries every
operation with every error, not only the first of each name.
"""

import errno
import os
import shutil

import pytest

from cnncli.errors import CnncliError
from cnncli.notices import heard_by
from cnncli.training.runs import checkpoint
from tests.disk import Disk, Killed
from tests.training import small
from tests.training.loggers import training

LOGGERS = ("csv", {"tensorboard": {"update_freq": 3}})
"""Those that write in the thread of the training."""
LOG = "log.csv"
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with data and a straight training."""
    folder = tmp_path_factory.mktemp("data")
    small.write_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        trained(folder, folder / "straight")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(data):
    return small.plan(data, epochs=2)


def trained(data, folder=None, *, resume=None):
    """Train with loggers, or resume."""
    training.train(plan(data), LOGGERS, folder, resume=resume)


def chosen(done, config):
    """The numbers of the operations to try: the first of each name, or all."""
    first = {name: number for number, name in reversed(list(enumerate(done)))}
    return range(len(done)) if config.getoption("--long") else sorted(first.values())


def operations(data, here, *, resume=False):
    """The names of what a training does to files, or one that is resumed."""
    if resume:
        begin(data, here / "counted")
    place = {"resume": here / "counted"} if resume else {"folder": here / "counted"}
    with Disk(here) as disk:
        trained(data, **place)
    return disk.done


def begin(data, run):
    """A run that was interrupted in its second epoch."""
    small.interrupt(plan(data), run, epoch=2, batch=2)  # without logs, which the resumed run then makes


def check_resumed(data, run):
    """The run has a good checkpoint, and is resumed to the bits of the straight training."""
    checkpoint.load(run / "last.safetensors")
    trained(data, resume=run)
    assert small.outcome(run) == small.outcome(data / "straight")
    assert (run / LOG).read_bytes() == (data / "straight" / LOG).read_bytes()
    assert not list(run.rglob("*.tmp"))


def check_began(data, run, name):
    """The run resumes to the same bits, or says that it never began."""
    if (run / "last.safetensors").exists():
        check_resumed(data, run)
        return
    with pytest.raises(CnncliError, match=r"there is nothing to resume: it ended before|no such run|is no run") as told:
        trained(data, resume=run)
    assert "\n" not in str(told.value), name


@pytest.mark.long
@pytest.mark.parametrize("resume", [False, True])
def test_a_disk_that_fails_is_one_line_and_costs_no_more_than_what_was_not_saved(data, here, pytestconfig, resume):
    done = operations(data, here, resume=resume)
    for number in chosen(done, pytestconfig):
        for error in ERRORS if pytestconfig.getoption("--long") else [ERRORS[number % 3]]:
            run = here / f"{number} {error}"
            if resume:
                begin(data, run)
            warned = []
            with Disk(here, number, error), heard_by(warned.append):
                try:
                    trained(data, **({"resume": run} if resume else {"folder": run}))
                    failed = None
                except CnncliError as caught:
                    failed = caught
            name = f"{done[number]}, {os.strerror(error)}"
            assert not list(here.rglob("*.tmp")), name
            if failed is None:
                assert small.outcome(run) == small.outcome(data / "straight"), name
                continue
            assert failed.exit_code == 1, name
            assert "\n" not in str(failed), name
            assert os.strerror(error) in str(failed), name
            assert str(run) in str(failed), name
            if run.exists():
                check_resumed(data, run)
            else:
                assert not resume, name


def test_a_folder_of_mlflow_that_fails_is_one_warning(data, here, pytestconfig):
    """`--long` tries every operation, not only the first of each kind."""
    logger, run = {"mlflow": {"tracking_uri": "mlruns"}}, here / "run"

    def warned():
        shutil.rmtree(run, ignore_errors=True)
        told = training.warnings(training.train(plan(data), [logger], run))
        assert small.outcome(run) == small.outcome(data / "straight")
        return told

    with Disk(here / "mlruns") as disk:
        assert warned() == []
    clearing_up = ("close ", "unlink ")  # of what is in its place already: that they fail costs nothing
    tried = [number for number, name in enumerate(disk.done) if not name.startswith(clearing_up)]
    first = {disk.done[number].partition(" ")[0]: number for number in reversed(tried)}
    for number in tried if pytestconfig.getoption("--long") else first.values():
        shutil.rmtree(here / "mlruns", ignore_errors=True)
        with Disk(here / "mlruns", number, errno.ENOSPC):
            (told,) = warned()
        assert told.startswith("MLflow: the log ends here: "), disk.done[number]
        assert os.strerror(errno.ENOSPC) in told, disk.done[number]


@pytest.mark.long
@pytest.mark.parametrize("resume", [False, True])
def test_a_process_that_is_killed_loses_no_more_than_what_was_not_saved(data, here, pytestconfig, resume):
    done = operations(data, here, resume=resume)
    cases = [(number, power) for number in chosen(done, pytestconfig) for power in (False, True)]
    for number, power in cases if pytestconfig.getoption("--long") else cases[::4]:
        run = here / f"{number} {power}"
        if resume:
            begin(data, run)
        with Disk(here, number, power=power) as disk:
            try:
                trained(data, **({"resume": run} if resume else {"folder": run}))
            except (Killed, CnncliError):
                assert disk.dead
        if resume:
            check_resumed(data, run)
        else:
            check_began(data, run, done[number])
