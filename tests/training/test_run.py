import errno
import fcntl
import json
import os
from pathlib import Path

import pytest

from cnncli import notices
from cnncli.errors import UsageError
from cnncli.training.runs import past_runs
from cnncli.training.runs.run_directory import create, environment, reopen


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(output=None):
    return create("digits", output, "name: digits\n", environment(2, 7, "sha256:0"), {"train": {"start": 0}})


def test_a_run_has_its_spec_environment_and_splits_from_the_beginning(here):
    run = new()
    assert run.path.parent.as_posix() == "runs/digits"
    assert run.spec.read_text() == "name: digits\n"
    about = json.loads((run.path / "environment.json").read_text())
    assert (about["threads"], about["seed"], about["data_digest"]) == (2, 7, "sha256:0")
    assert json.loads((run.path / "splits.json").read_text()) == {"train": {"start": 0}}
    assert run.metrics.read_text() == ""
    run.announce()
    assert (here / "runs/.gitignore").read_text() == "*\n"


def test_runs_of_one_second_are_told_apart_and_latest_is_the_last():
    made = [new() for _ in range(4)]
    paths = [run.path for run in made]
    assert len(set(paths)) == 4
    for run in made:
        assert not (run.path.parent / "latest").exists() or (run.path.parent / "latest").resolve() != run.path.resolve()
        run.announce()
    assert (paths[0].parent / "latest").resolve() == paths[-1].resolve()


def test_output_is_the_run_itself_and_must_be_new_or_empty(here):
    (here / "mine").mkdir()
    run = new(here / "mine")
    assert run.path == here / "mine"
    assert not (here / "runs").exists()
    with pytest.raises(UsageError, match=r"--output must be an empty folder or a new one; .*mine has something in it"):
        new(here / "mine")
    with pytest.raises(UsageError, match=r"--output must be an empty folder or a new one; .*spec\.yaml is a file"):
        new(here / "mine/spec.yaml")


def test_a_run_is_written_by_one_process_at_a_time():
    run = new()
    with pytest.raises(UsageError, match=r"another process is training in this run"):
        reopen(run.path)
    run.close()
    reopen(run.path).close()


def test_a_half_written_file_of_a_process_that_was_killed_goes_when_the_run_is_reopened():
    run = new()
    run.close()
    (run.path / ".best.safetensors.tmp").write_bytes(b"half")
    reopen(run.path).close()
    assert sorted(path.name for path in run.path.iterdir()) == [
        "environment.json",
        "metrics.jsonl",
        "spec.yaml",
        "splits.json",
    ]


def test_what_is_no_run_can_not_be_reopened(here):
    with pytest.raises(UsageError, match=r"nowhere: no such run"):
        reopen(here / "nowhere")
    with pytest.raises(UsageError, match=r"is no run: it has no spec\.yaml"):
        reopen(here)


def test_rewriting_the_figures_drops_what_an_interruption_left_beyond_them():
    run = new()
    for epoch in (1, 2, 3):
        run.append({"epoch": epoch, "loss": 1 / epoch})
    run.rewrite([{"epoch": 1, "loss": 1.0}])
    assert run.metrics.read_text() == '{"epoch": 1, "loss": 1.0}\n'


@pytest.fixture
def said(monkeypatch):
    """The warnings that are shown."""
    texts = []
    monkeypatch.setattr(notices, "show", texts.append)
    monkeypatch.setattr(notices, "_shown", set())
    return texts


@pytest.fixture
def locks(monkeypatch):
    """Lets every attempt to lock fail with an error of the system."""

    def failing(number):
        def refuse(descriptor, operation):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", refuse)

    return failing


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL])
def test_a_file_system_without_locks_is_noticed_and_trained_on(locks, said, number):
    locks(number)
    run = new(Path(f"unlocked-{number}"))
    why = os.strerror(number)
    assert said == [f"{run.path} can't be locked ({why}): see to it that no other process trains in this run"]
    assert not past_runs.is_held(run.path)


def test_a_lock_that_another_holds_is_no_lack_of_locks(locks):
    run = new()
    locks(errno.EWOULDBLOCK)
    with pytest.raises(UsageError, match=r"another process is training in this run"):
        reopen(run.path)
    assert past_runs.is_held(run.path)


def test_a_folder_called_latest_stays_and_the_run_is_as_good(here, said):
    (here / "runs/digits/latest").mkdir(parents=True)
    run = new()
    run.announce()
    assert said == ["runs/digits/latest can't be made a link to this run: Is a directory"]
    assert sorted(path.name for path in (here / "runs/digits").iterdir()) == [run.path.name, "latest"]


def test_a_run_that_can_not_begin_takes_the_folders_along_that_were_made_for_it(here):
    new().discard()
    assert list(here.iterdir()) == []
    kept = new()
    new().discard()
    kept.announce()
    kept.discard()
    assert [path.name for path in (here / "runs/digits").iterdir() if path.name != "latest"] == [kept.path.name]
