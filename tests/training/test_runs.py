"""The newest run: the one that began last, of those that have a model."""

import os
from contextlib import chdir
from pathlib import Path

import pytest

from cnncli.training.runs import past_runs


@pytest.fixture
def here(tmp_path):
    with chdir(tmp_path):
        yield tmp_path


def run(name, *files, second="20260101-000000"):
    path = Path("runs") / name / second
    path.mkdir(parents=True)
    for file in ("spec.yaml", *files):
        (path / file).touch()
    return path


@pytest.mark.usefixtures("here")
def test_it_is_the_one_that_began_last_whatever_was_written_last():
    old = run("a", "best.safetensors", second="20260101-235959")
    new = run("b", "last.safetensors", second="20260102-000000")
    os.utime(new / "spec.yaml", (1, 1))
    assert (past_runs.newest(), past_runs.newest("a"), past_runs.newest("c")) == (new, old, None)
    assert past_runs.all_runs() == [new, old]


@pytest.mark.usefixtures("here")
def test_one_without_a_model_is_listed_but_is_not_the_newest():
    whole, begun = run("a", "best.safetensors"), run("a", second="20260103-000000")
    assert past_runs.newest() == whole
    assert past_runs.all_runs() == [begun, whole]


@pytest.mark.usefixtures("here")
def test_of_one_second_the_later_spec_decides_and_latest_counts_once():
    first, second = run("a", "best.safetensors"), run("a", "best.safetensors", second="20260101-000000-2")
    os.utime(first / "spec.yaml", (1, 1))
    (first.parent / "latest").symlink_to(second.name)
    assert past_runs.all_runs() == [second, first]


@pytest.mark.usefixtures("here")
def test_a_run_with_a_name_of_its_own_began_when_its_spec_was_written():
    named, dated = run("a", "best.safetensors", second="mine"), run("a", "best.safetensors")
    os.utime(named / "spec.yaml", (0, 0))
    assert past_runs.all_runs() == [dated, named]


@pytest.mark.usefixtures("here")
def test_a_name_is_no_pattern():
    run("a", "best.safetensors")
    assert past_runs.newest("*") is None
