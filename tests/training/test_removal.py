"""Removing runs: whole, only runs, and nothing that a link leads to."""

import shutil
from contextlib import chdir, closing
from pathlib import Path

import pytest

from cnncli.errors import CnncliError, UsageError
from cnncli.training.runs import removal
from cnncli.training.runs.past_runs import all_runs
from cnncli.training.runs.run_directory import Run


@pytest.fixture(autouse=True)
def here(tmp_path):
    (tmp_path / "work").mkdir()
    with chdir(tmp_path / "work"):
        yield tmp_path / "work"


def run(path, *files):
    path = Path(path)
    path.mkdir(parents=True)
    for file in ("spec.yaml", "metrics.jsonl", *files):
        (path / file).write_text("12345")
    return path


ONE, TWO = "runs/a/20260101-000000", "runs/a/20260102-000000"


def test_a_run_goes_with_all_its_files_and_an_empty_name_with_it():
    path = run(ONE, "own.txt")
    plan = removal.planned(path)
    assert (plan.path, plan.size, plan.others) == (path, 15, ["own.txt"])
    removal.remove(plan.path)
    assert [*Path("runs").iterdir()] == []


def test_latest_leads_to_the_newest_that_is_left():
    first, second = run(ONE), run(TWO)
    latest = Path("runs/a/latest")
    latest.symlink_to(second.name)
    plan = removal.planned(latest)
    assert plan.path == second
    removal.remove(plan.path)
    assert latest.readlink() == Path(first.name)
    removal.remove(first)
    assert not Path("runs/a").exists() or not latest.is_symlink()


def test_latest_stays_where_another_run_goes():
    first, second = run(ONE), run(TWO)
    Path("runs/a/latest").symlink_to(second.name)
    removal.remove(first)
    assert Path("runs/a/latest").readlink() == Path(second.name)


def test_no_link_is_followed(here):
    path, kept = run(ONE), here.parent / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    (path / "folder").symlink_to(kept)
    (path / "file").symlink_to(kept / "file")
    assert removal.planned(path).others == ["file", "folder"]
    removal.remove(path)
    assert (kept / "file").read_text() == "kept"
    outside = run(here.parent / "elsewhere/run")
    link = Path("runs/a/link")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(UsageError, match="is a link to"):
        removal.planned(link)
    assert outside.exists()


def test_a_run_in_which_a_process_is_training_stays():
    path = run(ONE)
    with closing(Run(path)):
        with pytest.raises(UsageError, match="a process is training in this run"):
            removal.planned(path)
        with pytest.raises(UsageError, match="another process is training in this run"):
            removal.remove(path)
    assert (path / "spec.yaml").exists()


def test_what_is_no_run_or_more_than_a_run_stays(here):
    Path("plain").mkdir()
    project = run("project", "x")
    run("project/runs/b/20260101-000000")
    repository = run("repository")
    (repository / ".git").mkdir()
    (repository / ".git/HEAD").touch()
    (here / "spec.yaml").touch()
    for place, message in {
        "plain": "'plain' is no run: it has no spec.yaml",
        "nothing": "'nothing' is no run: it has no spec.yaml",
        project: "is more than a run, for it has runs/b/20260101-000000/spec.yaml in it",
        repository: "is more than a run, for it has .git/HEAD in it",
        here: "has the working directory in it",
    }.items():
        with pytest.raises(UsageError, match=message):
            removal.planned(Path(place))


def test_a_run_that_can_not_be_renamed_stays_whole(monkeypatch):
    path = run(ONE)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(CnncliError, match="can't be removed: Permission denied"):
        removal.remove(path)
    assert {file.name for file in path.iterdir()} == {"metrics.jsonl", "spec.yaml"}


def test_what_could_not_be_deleted_is_no_longer_a_run(monkeypatch):
    path = run(ONE)

    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(CnncliError, match=r"is removed, but .*\.removed can't be deleted: Input/output error"):
        removal.remove(path)
    assert all_runs() == []
