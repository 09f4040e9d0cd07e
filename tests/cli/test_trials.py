"""`train --folds`, `--seeds`: several trainings, and what they have in common."""

import json
from statistics import mean, stdev

import pytest

from tests.cli.test_train import SPEC, cnncli
from tests.training import small


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a spec and its data."""
    path = tmp_path_factory.mktemp("trials")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    return path


def events(place, *options):
    done = cnncli(place, "train", "bars.yaml", "--json", "--epochs", "1", *options)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def test_each_fold_is_trained_on_and_the_figures_are_those_of_the_runs(place):
    done, told = events(place, "--folds", "3", "--output", "folds")
    assert done.returncode == 0, done.stderr
    last = told[-1]
    assert (last["event"], len(last["runs"])) == ("trials", 3)
    losses = [event["val_loss"] for event in told if event["event"] == "epoch"]
    assert last["figures"]["val_loss"] == {"mean": mean(losses), "deviation": stdev(losses), "values": losses}
    kept = [
        json.loads((place / "folds" / f"fold-{i}" / "splits.json").read_text())["validation"]["rows"] for i in (1, 2, 3)
    ]
    everything = sorted(row for rows in kept for row in rows)
    assert everything == list(range(len(everything)))


def test_seeds_begin_at_the_spec_and_a_run_of_one_is_that_of_the_seed(place):
    done, told = events(place, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    digests = [event["weights_digest"] for event in told if event["event"] == "end"]
    _, alone = events(place, "--seed", "4")
    assert digests[1] == alone[-1]["weights_digest"] != digests[0]


def test_people_see_the_mean_and_an_expectation_is_held_against_it(place):
    done = cnncli(place, "train", "bars.yaml", "--quiet", "--seeds", "2", "--set", "expect.val_loss=< 0")
    assert done.returncode == 4
    assert "training 2 of 2: seed 4" in done.stdout
    assert "mean of 2 trainings ± standard deviation" in done.stdout
    assert " ± " in done.stdout.splitlines()[-1]


def test_a_run_that_is_resumed_is_one(place):
    done = cnncli(place, "train", "--resume", "runs/bars/latest", "--folds", "2")
    assert (done.returncode, "--folds" in done.stderr) == (2, True)
