"""`cnncli.train` and what belongs to it, as a program or a notebook uses it."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
import yaml

import cnncli
from cnncli.errors import ExpectationError, InterruptedRun, SpecError, UsageError
from cnncli.training.events import BatchDone, Begun, Ended, EpochDone, Notice, PhaseBegins, TrialBegins, WeightsLoaded
from tests.cli.test_train import SPEC, child_environment
from tests.cli.test_train import cnncli as command
from tests.training import small

LIGHT = """
import sys, cnncli
print(sorted({"numpy", "numba", "typing", "click", "yaml"} & set(sys.modules)))
cnncli.check({"data": {}})
print(sorted({"numpy", "numba"} & set(sys.modules)))
cnncli.train, cnncli.load, cnncli.Model, cnncli.Run, cnncli.events.EpochDone
print(sorted({"numpy", "numba"} & set(sys.modules)))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with a spec and its data."""
    small.write_data(tmp_path)
    (tmp_path / "bars.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digest(run):
    return json.loads(command(Path(), "evaluate", run, "--json").stdout)


def test_importing_it_is_light_and_so_is_checking_a_spec():
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], env=child_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]"] * 3


def test_it_trains_as_the_command_does_and_says_the_same(place):
    run = cnncli.train("bars.yaml", {"fit.epochs": 1, "compile.optimizer": {"SGD": {"learning_rate": 0.1}}})
    sets = ["--set", "compile.optimizer={SGD: {learning_rate: 0.1}}"]
    told = command(place, "train", "bars.yaml", "--json", "--epochs", "1", *sets).stdout.splitlines()
    epoch, end = map(json.loads, told)
    assert (run.digest, run.epoch) == (end["weights_digest"], end["epoch"])
    assert run.figures.items() <= epoch.items()
    assert run.path.parent == Path("runs/bars")
    assert run.history[0]["learning_rate"] == 0.1


def test_a_spec_may_be_plain_data_with_paths_and_numbers_of_numpy(place):
    plain = yaml.safe_load(SPEC)
    plain["data"]["dataset"] = place / "bars.npz"
    plain["fit"]["batch_size"] = np.int64(8)
    one, other = cnncli.train(plain, {"fit.epochs": np.int64(1)}), cnncli.train("bars.yaml", {"fit.epochs": 1})
    assert one.digest == other.digest
    again = cnncli.train(other.spec, {"seed": 3, "fit": {"epochs": 1}})
    assert again.digest == other.digest


def test_what_yaml_could_not_say_is_refused(place):
    with pytest.raises(UsageError, match=r"^a spec must be plain data, as YAML has it: received object"):
        cnncli.train({"data": object()})


def test_each_trial_has_logs_of_its_own(place):
    log = ["csv", "tensorboard", {"mlflow": {"tracking_uri": str(place / "mlruns")}}]
    done = cnncli.trials("bars.yaml", {"fit.epochs": 1, "fit.log": log}, seeds=2)
    for run in done.runs:
        (row,) = csv.DictReader((run.path / "log.csv").read_text().splitlines())
        assert float(row["val_loss"]) == run.figures["val_loss"]
        assert len(list((run.path / "logs").rglob("events.out.tfevents.*"))) == 3
    curves = [file.read_text() for file in (place / "mlruns").glob("*/*/artifacts/curves.svg")]
    assert len(curves) == 2
    assert all("<svg" in text for text in curves)


def test_events_come_in_their_order(place):
    events = []
    run = cnncli.train("bars.yaml", on_event=events.append)
    kinds = [type(event) for event in events if isinstance(event, Begun | BatchDone | EpochDone | Ended)]
    assert kinds == [Begun, *[*[BatchDone] * small.BATCHES, EpochDone] * 2, Ended]
    begun = next(event for event in events if isinstance(event, Begun))
    assert (begun.name, begun.epochs, begun.seed) == ("bars", 2, 3)
    assert begun.images == {"train": 45, "validation": 5, "test": 9}
    assert (events[-1].run, events[-1].digest) == (str(run.path), run.digest)


def test_notices_of_every_floor_are_events(place, capsys):
    """The first is of the spec, the second of the data."""
    events = []
    sets = {"compile.loss": {"categorical_crossentropy": {"from_logits": True}}, "fit.epochs": 0}
    held = dict(np.load(place / "bars.npz"))
    np.savez(place / "twice.npz", **{**held, "x_test": held["x_train"][:2], "y_test": held["y_train"][:2]})
    cnncli.train("bars.yaml", sets, data="twice.npz", on_event=events.append)
    texts = [str(event) for event in events if isinstance(event, Notice)]
    assert any("from_logits" in text for text in texts)
    assert any(text.startswith("warning: 2 images in more than one split") for text in texts)
    assert capsys.readouterr().err == ""
    cnncli.train("bars.yaml", sets, data="twice.npz")
    assert capsys.readouterr().err.splitlines()[: len(texts[0].splitlines())] == texts[0].splitlines()


def test_an_interrupted_training_goes_on_to_the_same_weights(place):
    whole = cnncli.train("bars.yaml")
    with pytest.raises(InterruptedRun, match=r"everything is saved\. To resume: cnncli train --resume cut"):
        cnncli.train("bars.yaml", output="cut", on_event=small.interrupter(small.BATCHES + 2))
    resumed = cnncli.resume("cut")
    assert (resumed.digest, resumed.figures) == (whole.digest, whole.figures)
    assert cnncli.resume("cut", epochs=3).spec.fit.epochs == 3


def test_a_training_may_start_from_weights(place):
    first = cnncli.train("bars.yaml", {"fit.epochs": 1})
    same = cnncli.train("bars.yaml", {"fit.epochs": 0}, weights=first.path)
    assert same.digest == first.digest


def test_a_spec_may_start_from_the_weights_that_fit(place):
    """The run needs the file no more: it is resumed, to the same bits, and evaluated without it."""
    first = cnncli.train("bars.yaml", {"fit.epochs": 1}, output="first")
    same = cnncli.train("bars.yaml", {"fit.epochs": 0, "model.weights": "first"})
    assert same.digest == first.digest
    sets = {"model.weights": "first", "model.freeze": ["conv2d"], "model.layers.max_pooling2d.pool_size": 3}
    said = []
    whole = cnncli.train("bars.yaml", sets, on_event=said.append)
    (loaded,) = [event for event in said if isinstance(event, WeightsLoaded)]
    assert loaded.file == str(place / "first" / "best.safetensors")
    assert loaded.layers.loaded == {"conv2d": "conv2d"}
    assert str(loaded).startswith(f"notice: weights of {loaded.file}: 1 of 2 layers with weights loaded; ")
    assert str(loaded).endswith("because shapes differ: dense (kernel: (12, 2) here, (27, 2) in the file)")
    before, after = (cnncli.load(run).weights() for run in (first.path, whole.path))
    np.testing.assert_array_equal(after["conv2d/kernel"], before["conv2d/kernel"])
    with pytest.raises(InterruptedRun):
        cnncli.train("bars.yaml", sets, output="cut", on_event=small.interrupter(small.BATCHES + 2))
    (place / "first").rename(place / "moved")
    assert cnncli.resume("cut").digest == whole.digest
    (place / "begun.yaml").write_text(SPEC.replace("model:\n", "model:\n  weights: first\n"))
    assert cnncli.load("begun.yaml").path.parent == Path("cut")  # the newest run of this name
    with pytest.raises(UsageError, match="weights: there is no run or model file"):
        cnncli.train("bars.yaml", sets)


def test_fine_tuning_trains_the_new_layers_first_and_is_resumed_without_the_file(place):
    cnncli.train("bars.yaml", {"fit.epochs": 1}, output="first")
    sets = {"model.weights": "first", "model.fine_tune": {"freeze_epochs": 2, "rate_factor": 0.5}, "fit.epochs": 3}
    said = []
    whole = cnncli.train("bars.yaml", sets, on_event=said.append)
    phases = [event for event in said if isinstance(event, PhaseBegins)]
    assert phases == [PhaseBegins(1, 2, 56, 86, 1.0), PhaseBegins(3, 3, 86, 86, 0.5)]
    with pytest.raises(InterruptedRun):
        cnncli.train("bars.yaml", sets, output="cut", on_event=small.interrupter(small.BATCHES + 2))
    (place / "first").rename(place / "moved")
    assert cnncli.resume("cut").digest == whole.digest
    assert cnncli.load("cut").spec == whole.spec
    assert str(cnncli.load("cut").summary()).splitlines()[-1].startswith("epoch 3: all 86 parameters train, at 0.5 ×")


def test_errors_are_those_of_the_command(place):
    with pytest.raises(SpecError) as caught:
        cnncli.train("bars.yaml", {"fit.epoch": 3})
    assert [found.setting for found in caught.value.diagnostics] == ["--set fit.epoch=3"]
    with pytest.raises(UsageError, match=r"--output must be an empty folder or a new one"):
        cnncli.train("bars.yaml", output=".")


def test_expectations_are_judged_when_asked(place):
    run = cnncli.train("bars.yaml", {"expect.val_loss": "< 0"})
    with pytest.raises(ExpectationError, match=r"val_loss is .* and the spec expects < 0"):
        run.judge()
    fewer = cnncli.train("bars.yaml", {"fit.epochs": 1})
    assert fewer.unjudged == "the run has 1 epoch, the spec asks for 2"
    fewer.judge()


def test_trials_have_the_runs_and_how_far_they_differ(place):
    events = []
    done = cnncli.trials("bars.yaml", {"fit.epochs": 1}, seeds=2, folds=2, output="all", on_event=events.append)
    names = [event.name for event in events if isinstance(event, TrialBegins)]
    assert names == ["seed 3 fold 1", "seed 3 fold 2", "seed 4 fold 1", "seed 4 fold 2"]
    losses = [run.figures["val_loss"] for run in done.runs]
    spread = done.figures["val_loss"]
    assert (spread.mean, spread.deviation, spread.values) == (mean(losses), stdev(losses), losses)
    assert done.runs[1].path == Path("all/seed-3-fold-2")
    with pytest.raises(UsageError, match=r"folds must be at least 2; received 1"):
        cnncli.trials("bars.yaml", folds=1)


def test_a_forecast_writes_nothing(place):
    before = sorted(place.rglob("*"))
    made = cnncli.forecast("bars.yaml")
    assert made.steps == small.BATCHES
    assert made.memory.total > 0
    assert sorted(place.rglob("*")) == before


def test_check_has_problems_and_warnings_with_their_places():
    spec = {"data": {"dataset": "mnist5k"}, "model": {"layers": ["Flaten"]}, "compile": {"loss": "mse"}}
    problems = cnncli.check(spec)
    assert all(problem.excerpt.endswith("^") and problem.line > 0 for problem in problems)
    assert "unknown layer 'Flaten'; did you mean 'Flatten'?" in [problem.message for problem in problems]
    assert {problem.level for problem in problems} == {"error"}
    assert cnncli.check(Path(__file__).parents[2] / "configs/smoke.yaml") == []
    with pytest.raises(UsageError, match=r"nowhere\.yaml"):
        cnncli.check("nowhere.yaml")
