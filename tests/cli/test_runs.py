"""`cnncli runs`: what there has been, told from the files that runs leave."""

import json
import shutil

import pytest

from tests.cli.test_train import SPEC, cnncli, cnncli_process
from tests.training import small


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run, and one that stands where an interrupted one would."""
    path = tmp_path_factory.mktemp("trained")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    assert cnncli(path, "train", "bars.yaml").returncode == 0
    (finished,) = (run for run in (path / "runs/bars").iterdir() if not run.is_symlink())
    unfinished = finished.with_name("29991231-000000")
    shutil.copytree(finished, unfinished)
    (unfinished / "result.json").unlink()
    lines = (finished / "metrics.jsonl").read_text().splitlines()
    (unfinished / "metrics.jsonl").write_text(lines[0] + "\n" + lines[1][:9])
    return path


def documents(folder, *arguments):
    return json.loads(cnncli(folder, "runs", "--json", *arguments).stdout)


def test_a_finished_run_has_the_figures_that_training_ended_with(tmp_path):
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    *epochs, end = map(json.loads, cnncli(tmp_path, "train", "bars.yaml", "--json").stdout.splitlines())
    (run,) = documents(tmp_path)
    assert (run["run"], run["name"], run["state"]) == (end["run"], "bars", "finished")
    assert (run["epochs"], run["planned_epochs"], run["epoch"]) == (2, 2, end["epoch"])
    assert run["test"] == end["test"]
    best = epochs[end["epoch"] - 1]
    assert run["figures"] == {name: best[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    files = [file for file in (tmp_path / end["run"]).iterdir() if file.is_file()]
    assert run["bytes"] == sum(len(file.read_bytes()) for file in files)


def test_the_newest_is_last_and_an_unfinished_one_says_how_far_it_came(trained):
    finished, unfinished = documents(trained)
    assert (unfinished["began"], unfinished["state"]) == ("2999-12-31T00:00:00", "unfinished")
    assert (unfinished["epochs"], unfinished["planned_epochs"], unfinished["test"]) == (1, 2, None)
    assert finished["began"].replace("-", "").replace(":", "").replace("T", "-") == finished["run"][-15:]


def test_people_see_a_row_a_run(trained):
    head, first, second = [line.split() for line in cnncli(trained, "runs").stdout.splitlines()]
    assert head == ["run", "epochs", "validation", "test", "size"]
    assert first[:3] == [documents(trained)[0]["run"], "2/2", "loss"]
    assert second[:3] == ["runs/bars/29991231-000000", "1/2", "unfinished"]


def test_a_resumed_run_is_finished_when_it_ends_again(trained, tmp_path):
    (run,) = (trained / "runs/bars").glob("2[!9]*")
    mine = tmp_path / "runs/bars" / run.name
    shutil.copytree(run, mine)
    resumed = cnncli(tmp_path, "train", "--resume", mine, "--epochs", 3)
    assert resumed.returncode == 0, resumed.stderr
    (document,) = documents(tmp_path)
    assert (document["state"], document["epochs"], document["planned_epochs"]) == ("finished", 3, 3)


def test_without_a_run_it_says_how_to_make_one(tmp_path):
    done = cnncli_process(tmp_path, "runs")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no run is under runs/ yet; `cnncli train SPEC` makes one\n"
    assert documents(tmp_path, "nothing") == []


def test_a_run_that_is_no_more_than_begun_is_listed(tmp_path):
    run = tmp_path / "runs/x/20260101-000000"
    run.mkdir(parents=True)
    (run / "spec.yaml").write_text("damaged")
    (run / "best.safetensors").write_text("damaged")
    (document,) = documents(tmp_path)
    assert (document["epochs"], document["planned_epochs"], document["figures"]) == (0, None, {})
    assert "0/?" in cnncli(tmp_path, "runs").stdout
