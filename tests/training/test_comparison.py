"""Runs side by side: groups, differences, figures, tolerances."""

import math
from statistics import mean, stdev

import pytest

from cnncli.errors import UsageError
from cnncli.training.comparison import ABSENT, Comparison, Tolerance, Trial, grouped, paired_trials

SPEC = {
    "name": "net",
    "data": {"dataset": "x", "fold": 1},
    "model": {"layers": [{"Dense": {"name": "dense", "inputs": ["input"], "units": 2, "activation": "relu"}}]},
    "compile": {"optimizer": {"Adam": {"learning_rate": 0.1, "amsgrad": False}}, "metrics": [{"Accuracy": {}}]},
    "fit": {"batch_size": 8},
}
DIRECTIONS = {"loss": "min", "accuracy": "max"}


def trial(
    run, spec=SPEC, *, seed=1, fold=1, accuracy=0.5, digest="a", data="d", history=(), environment=None, **figures
):
    resolved = {**spec, "seed": seed, "data": {**spec.get("data", {}), "fold": fold}} if spec else {}
    own = {"loss": 0.25, "val_loss": 0.5, **figures}
    facts = {"run": run, "state": "finished", "epochs": 2, "epoch": 1, "figures": own, "test": {"accuracy": accuracy}}
    return Trial(facts, list(history), resolved, digest, data, 7, DIRECTIONS, environment or {})


def changed(**sections):
    return {**SPEC, **{name: {**SPEC[name], **keys} for name, keys in sections.items()}}


WIDE = changed(fit={"batch_size": 16})


def test_runs_of_one_spec_with_other_seeds_and_folds_are_a_group():
    runs = [trial("a"), trial("b", WIDE), trial("c", seed=2), trial("d", fold=2), trial("e", {}), trial("f", {})]
    groups = [[one.path for one in group.trials] for group in grouped(runs)]
    assert groups == [["a", "c", "d"], ["b"], ["e"], ["f"]]


def test_runs_that_are_all_of_one_spec_are_compared_one_by_one():
    found = Comparison(grouped([trial("a"), trial("b", seed=2)]))
    assert [group.letter for group in found.groups] == ["A", "B"]
    assert found.differences == {"seed": [1, 2]}


def test_trials_that_were_repeated_are_another_group():
    runs = [trial("a", environment={"numpy": "1"}), trial("b", seed=2), trial("c", environment={"numpy": "2"})]
    found = Comparison(grouped([*runs, trial("d", seed=2)]))
    assert [[one.path for one in group.trials] for group in found.groups] == [["a", "b"], ["c", "d"]]
    assert (found.differences, found.environments) == ({}, {"numpy": ["1", "2"]})


def test_a_run_of_several_processes_differs_from_one_of_a_single_process():
    found = Comparison(grouped([trial("a"), trial("b", seed=2, environment={"processes": 4})]))
    assert found.environments == {"processes": [1, 4]}


def test_figures_are_means_with_the_deviation_of_the_sample():
    values = 0.5, 0.75, 0.625
    runs = [trial(str(n), seed=n, accuracy=value) for n, value in enumerate(values)]
    found = Comparison(grouped([*runs, trial("b", WIDE, val_accuracy=0.5)])).figures
    assert [*found] == ["test_accuracy", "val_loss", "loss", "epochs", "best_epoch", "parameters", "val_accuracy"]
    first, second = found["test_accuracy"]
    assert (first.mean, first.deviation, first.values) == (mean(values), stdev(values), list(values))
    assert (second.mean, second.deviation) == (0.5, 0.0)
    assert found["val_accuracy"][0] is None


def test_only_what_differs_between_specs_is_listed():
    dense = SPEC["model"]["layers"][0]["Dense"]
    other = changed(
        fit={"batch_size": 16},
        model={"layers": [{"Dense": {**dense, "units": 4}}, {"Dropout": {"name": "dropout", "rate": 0.5}}]},
        compile={"optimizer": {"SGD": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": False}}},
    )
    assert Comparison(grouped([trial("a"), trial("b", other)])).differences == {
        "model.layers.dense.units": [2, 4],
        "model.layers.dropout": [ABSENT, "Dropout"],
        "compile.optimizer": ["Adam", "SGD"],
        "compile.optimizer.momentum": [ABSENT, 0.9],
        "fit.batch_size": [8, 16],
    }


def test_what_is_unknown_or_not_finite_ends_nothing():
    unknown = trial("c", {}, seed=None, fold=None, val_loss=math.nan)
    found = Comparison(grouped([trial("a"), trial("b", WIDE), unknown]))
    assert found.differences == {"fit.batch_size": [8, 16, "?"]}
    assert Comparison(grouped([trial("a"), unknown])).differences == {}
    runs = [trial("a", val_loss=math.inf), trial("b", seed=2), trial("c", WIDE)]
    spread = Comparison(grouped(runs)).figures["val_loss"][0]
    assert (spread.mean, math.isnan(spread.deviation)) == (math.inf, True)


def test_the_curve_of_a_group_is_the_mean_of_the_epochs_that_all_have():
    first = [{"epoch": n, "loss": 1 / n, "val_loss": 2.0} for n in (1, 2, 3)]
    second = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    group, _ = grouped([trial("a", history=first), trial("b", seed=2, history=second), trial("c", WIDE)])
    assert group.history == [{"epoch": 1, "loss": 0.75}, {"epoch": 2, "loss": 0.375}]
    assert group.best is None


def test_equal_weights_and_other_data_are_told():
    found = Comparison(grouped([trial("a", digest="x"), trial("b", digest="y"), trial("c", digest="x", data="e")]))
    assert (found.equal_weights, found.same_data) == ([["a", "c"]], False)
    found = Comparison(grouped([trial("a", digest=None), trial("b", digest=None, data=None)]))
    assert (found.equal_weights, found.same_data) == ([], None)


@pytest.mark.parametrize(
    ("text", "base", "allowed"),
    [("0.5%", 0.8, 0.004), ("0.5pp", 0.8, 0.005), ("0.005", 0.8, 0.005), ("10 %", -2.0, 0.2), ("0", 3.0, 0.0)],
)
def test_a_tolerance_is_a_share_or_an_amount(text, base, allowed):
    assert Tolerance.parse(text).of(base) == pytest.approx(allowed, rel=1e-15)


@pytest.mark.parametrize("text", ["", "x", "-1%", "1 %%", "nan", "1e400%", "0.5 percent"])
def test_another_tolerance_is_refused(text):
    with pytest.raises(UsageError, match="--fail-if-worse must be like"):
        Tolerance.parse(text)


@pytest.mark.parametrize(
    ("metric", "tolerance", "values", "worse"),
    [
        (None, "0.005", (0.97, 0.965), False),  # exactly as much as is allowed, but for rounding
        (None, "0.5%", (0.97, 0.965), True),
        (None, "0", (0.9, 0.91), False),
        (None, "0", (0.9, 0.9), False),
        ("val_loss", "1%", (0.5, 0.506), True),
        ("val_loss", "1%", (0.5, 0.505), False),
        ("val_loss", "1%", (0.5, 0.1), False),
        ("val_loss", "50%", (0.5, math.nan), True),
    ],
)
def test_worse_is_less_or_more_as_the_metric_says(metric, tolerance, values, worse):
    name, (first, second) = metric or "accuracy", values
    runs = [trial("a", **{name: first}), trial("b", WIDE, **{name: second})]
    found = Comparison(grouped(runs)).worse(metric, Tolerance.parse(tolerance))
    assert bool(found) is worse
    if worse:
        assert found[0].startswith(f"{metric or 'test_accuracy'} of B is ")


def test_a_metric_must_be_one_that_all_have():
    found = Comparison(grouped([trial("a"), trial("b", WIDE, val_accuracy=1.0)]))
    with pytest.raises(UsageError, match="not all runs have 'val_accuracy'; did you mean 'test_accuracy'"):
        found.worse("val_accuracy", Tolerance(0.0, relative=False))
    assert found.main_figure() == "test_accuracy"


def test_trials_are_paired_by_seed_and_fold():
    first, second = grouped(
        [trial("a", seed=1), trial("b", seed=2), trial("c", WIDE, seed=2), trial("d", WIDE, seed=3)]
    )
    assert [(one.path, two.path) for one, two in paired_trials(first, second)] == [("b", "c")]
    first, second = grouped([trial("a", seed=1), trial("c", WIDE, seed=2)])
    assert [(one.path, two.path) for one, two in paired_trials(first, second)] == [("a", "c")]
