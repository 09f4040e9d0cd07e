"""`cnncli tune`: trials as runs, the screen, the files, and how it goes on."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from time import monotonic, sleep
from unittest.mock import patch
from xml.etree import ElementTree

import pytest

from cnncli import tune
from cnncli.errors import UsageError
from cnncli.spec.spec import load
from tests.cli.test_train import child_environment, cnncli

SPEC = """\
name: shapes
data: {dataset: {synthetic: {image_shape: [8, 8, 1], classes: 2, train: 64, test: 8}}, validation_split: 0.25}
model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}
compile: {optimizer: SGD, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 2}
tune:
  trials: 2
  compile.optimizer.SGD.learning_rate: {log_uniform: [1e-3, 1e-1]}
  fit.batch_size: {choice: [16, 32]}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.yaml").write_text(SPEC)
    return tmp_path


def test_trials_are_runs_and_the_best_spec_repeats_the_best(folder, monkeypatch):
    pytest.importorskip("optuna")
    for _ in range(2):  # the second is equal to the first, and nothing new
        assert cnncli(folder, "train", "a.yaml", "--set", "compile.optimizer.SGD.learning_rate=0.05").returncode == 0
    assert cnncli(folder, "train", "a.yaml", "--set", "compile.optimizer.SGD.learning_rate=0.5").returncode == 0
    done = cnncli(folder, "tune", "a.yaml", "--from-runs", "--threads", 1, "-o", "trials.svg")
    assert done.returncode == 0, done.stderr
    known, *lines = done.stderr.splitlines()
    assert known == "1 runs known from before"  # 0.5 is none of the search's values
    assert [line.split("  ")[0] for line in lines] == ["trial 1", "trial 2"]
    assert done.stdout.splitlines()[-3:] == [
        "trials.svg", "runs/shapes/best.yaml", "next       cnncli train runs/shapes/best.yaml",
    ]  # fmt: skip
    assert ElementTree.parse(folder / "trials.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    runs = json.loads(cnncli(folder, "runs", "list", "--where", "tags == tune", "--json").stdout)
    runs.sort(key=lambda run: run["note"])  # both began in the same second
    assert [run["note"].split(":")[0] for run in runs] == [f"trial {n} of study shapes" for n in (1, 2)]
    monkeypatch.chdir(folder)
    ended = []
    study = tune("a.yaml", trials=3, threads=1, on_trial=ended.append)  # goes on with the command's
    assert [trial.run for trial in study.trials[1:3]] == [run["run"] for run in runs]
    assert [trial.values for trial in study.trials[1:3]] == [(run["figures"]["val_loss"],) for run in runs]
    assert sorted(trial.number for trial in ended) == [0, 1, 2, 3]
    told = json.loads(cnncli(folder, "tune", "a.yaml", "--json").stdout)  # nothing is left to do
    assert told["trials"] == json.loads(json.dumps([asdict(trial) for trial in study.trials]))
    (best,), (spec,) = study.best, study.specs
    assert best == min(study.trials, key=lambda trial: trial.values)
    assert (told["best"], told["best_spec"]) == ([best.number], str(spec))
    assert (study.name, study.objectives) == ("shapes", {"val_loss": "minimize"})
    assert study.table[best.number] == {
        "trial": best.number, "state": "complete", "val_loss": best.values[0], **best.params, "run": best.run,
    }  # fmt: skip
    written = load(spec)
    assert written.compile.optimizer.learning_rate == best.params["compile.optimizer.SGD.learning_rate"]
    assert str(written.fit.batch_size) == best.params["fit.batch_size"]


def test_a_signal_ends_the_workers_and_tells_how_to_go_on(folder):
    pytest.importorskip("optuna")
    command = [sys.executable, "-m", "cnncli", "tune", "a.yaml", "--set", "fit.epochs=1000000", "--threads", "1"]
    process = subprocess.Popen(command, cwd=folder, env=child_environment(), stderr=subprocess.PIPE, text=True)
    until = monotonic() + 120
    while not (begun := list(folder.glob("runs/shapes/*/notes.json"))) and monotonic() < until:
        sleep(0.05)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    resume = "cnncli tune a.yaml --set fit.epochs=1000000 --threads 1"
    assert (process.returncode, error) == (
        130, f"error: interrupted after 0 of 2 trials; everything is saved. To resume: {resume}\n",
    )  # fmt: skip
    result = json.loads((begun[0].parent / "result.json").read_text())
    assert result["state"] == "interrupted"


def test_what_is_missing_is_told(folder):
    done = cnncli(folder, "tune", "a.yaml", "--set", "tune=null")
    assert done.returncode == 2
    (folder / "b.yaml").write_text(SPEC[: SPEC.index("tune:")])
    done = cnncli(folder, "tune", "b.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: b.yaml has no section `tune`; add one, like `tune: {")
    with patch("cnncli.extras.find_spec", lambda module: None):
        done = cnncli(folder, "tune", "a.yaml")
        with pytest.raises(UsageError, match="tune needs Optuna"):
            tune(folder / "a.yaml")
    assert (done.returncode, done.stderr) == (2, "error: tune needs Optuna: pip install 'cnncli[tune]'\n")
    with pytest.raises(UsageError, match="workers must be at least 1; received 0"):
        tune(folder / "a.yaml", workers=0)
    assert not (folder / "runs").exists()


def test_other_commands_ignore_the_section(folder):
    assert cnncli(folder, "check", "a.yaml").returncode == 0
    assert cnncli(folder, "train", "a.yaml", "-o", "run", "--epochs", 0).returncode == 0
    assert "tune" not in (folder / "run/spec.yaml").read_text()
