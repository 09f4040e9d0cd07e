import csv
import json
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.cli.test_train import SPEC, cnncli
from tests.training import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs of different seeds; the second is the newest."""
    path = tmp_path_factory.mktemp("trained")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    for seed in (1, 2):
        assert cnncli(path, "train", "bars.yaml", "--seed", seed, "--epochs", 1).returncode == 0
    return path


def runs(folder):
    return sorted(path for path in (folder / "runs/bars").iterdir() if not path.is_symlink())


def test_the_newest_run_is_evaluated_and_named(folder):
    done = cnncli(folder, "evaluate", "--json")
    document = json.loads(done.stdout)
    newest = runs(folder)[-1].relative_to(folder)
    assert done.stderr == f"model: {newest}\n"
    assert document["model"] == f"{newest}/best.safetensors"
    assert (document["samples"], document["split"]) == (9, "test")
    assert {"loss", "accuracy"} <= set(document)


def test_a_run_a_model_file_and_a_spec_name_the_same_figures(folder):
    first, newest = runs(folder)
    figures = [
        json.loads(cnncli(folder, "evaluate", model, "--json").stdout)["loss"]
        for model in (newest, newest / "best.safetensors", folder / "runs/bars/latest", "bars.yaml", first)
    ]
    assert len(set(figures[:4])) == 1
    assert figures[4] != figures[0]


def test_the_figures_are_those_that_training_ended_with(folder):
    end = json.loads(cnncli(folder, "train", "bars.yaml", "--json", "--output", "own").stdout.splitlines()[-1])
    document = json.loads(cnncli(folder, "evaluate", "own", "--json").stdout)
    assert {name: document[name] for name in end["test"]} == end["test"]


def test_the_misclassified_samples_are_a_file_that_agrees_with_the_confusion_matrix(folder):
    newest = runs(folder)[-1]
    document = json.loads(cnncli(folder, "evaluate", newest, "--json").stdout)
    confusion = np.array(document["confusion"])
    with np.load(folder / "bars.npz") as arrays:
        labels = arrays["y_test"]
    assert confusion.sum(1).tolist() == np.bincount(labels, minlength=2).tolist()
    assert document["accuracy"] == confusion.trace() / 9
    with (newest / "misclassified.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "label", "predicted", "probability"]
    assert len(rows) == 9 - confusion.trace() == document["misclassified"]
    for row in rows:
        assert int(row["label"]) == labels[int(row["index"])] != int(row["predicted"])
        assert 0.5 <= float(row["probability"]) <= 1


def test_the_most_probable_wrong_answers_come_first(folder):
    newest = runs(folder)[-1]
    assert cnncli(folder, "evaluate", newest, "--data", "bars.npz").returncode == 0
    with (newest / "misclassified.csv").open() as file:
        sure = [float(row["probability"]) for row in csv.DictReader(file)]
    assert sure == sorted(sure, reverse=True)


def test_options_that_tell_nothing_are_refused_in_one_line(folder):
    run = runs(folder)[-1]
    done = cnncli(folder, "evaluate", run, "--top-k", 2)
    assert (done.returncode, done.stderr) == (
        2,
        "error: --top-k must be less than the number of classes, 2; received 2\n",
    )
    done = cnncli(folder, "evaluate", run, "--normalize", "row")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --normalize must be one of true, predicted, all; received 'row'\n",
    )


def test_shares_top_k_and_averages_are_in_the_document_and_can_be_expected(folder):
    run = runs(folder)[-1]
    done = cnncli(folder, "evaluate", run, "--top-k", 1, "--normalize", "true", "--json", "--expect", "macro_f1 >= 0")
    document = json.loads(done.stdout)
    counts = np.array(document["confusion"])
    assert done.returncode == 0
    assert document["top_1_accuracy"] == document["accuracy"]
    assert np.array(document["normalized_confusion"]) == pytest.approx(counts / counts.sum(1, keepdims=True))
    f1 = [row["f1"] for row in document["classes"]]
    assert document["macro_f1"] == pytest.approx(sum(f1) / 2)
    assert sum(each["count"] for each in document["reliability"]) == 9
    missed = cnncli(folder, "evaluate", run, "--top-k", 1, "--expect", "test_top_1_acuracy >= 1")
    assert missed.returncode == 4
    assert "did you mean 'test_top_1_accuracy'?" in missed.stderr
    text = cnncli(folder, "evaluate", run, "--normalize", "predicted").stdout
    assert "% of each predicted class" in text


def test_people_get_the_figures_a_row_a_class_and_the_matrix(folder):
    done = cnncli(folder, "evaluate", runs(folder)[-1])
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert done.stdout.startswith("test  loss ")
    assert lines[1] == ["class", "precision", "recall", "F1", "AUC", "samples"]
    assert ["true", "\\", "predicted", "0", "1"] in lines
    assert lines[-1][0] == "misclassified"


def test_other_data_can_be_judged(folder):
    with np.load(folder / "bars.npz") as arrays:
        np.savez(folder / "other.npz", x_test=arrays["x_train"][:20], y_test=arrays["y_train"][:20])
        np.savez(folder / "train.npz", x_train=arrays["x_train"], y_train=arrays["y_train"])
    run = runs(folder)[-1]
    assert json.loads(cnncli(folder, "evaluate", run, "--data", "other.npz", "--json").stdout)["samples"] == 20
    done = cnncli(folder, "evaluate", run, "--data", "train.npz")
    assert done.returncode == 1
    assert done.stderr.endswith("train.npz: nothing to evaluate on: no test images and no validation images\n")
    assert "did you mean 'other.npz'?" in cnncli(folder, "evaluate", run, "--data", "othre.npz").stderr


def test_conditions_decide_the_exit_code_and_the_junit_report(folder):
    run = runs(folder)[-1]
    arguments = ("--expect", "test_accuracy>=0", "--expect", "loss < 0", "--junit", "report.xml")
    done = cnncli(folder, "evaluate", run, *arguments)
    assert done.returncode == 4
    assert done.stderr.startswith("error: evaluated, but loss is ")
    assert done.stderr.endswith(" and --expect asks for < 0.0\n")
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    cases = {case.get("name"): case.find("failure") is not None for case in suite.iter("testcase")}
    assert cases == {"evaluate test": False, "test_accuracy >= 0.0": False, "loss < 0.0": True}
    assert cnncli(folder, "evaluate", run, "--expect", "accuracy>=0").returncode == 0


STOPPING = "fit.callbacks=[{EarlyStopping: {monitor: val_accuracy, patience: 8, restore_best_weights: %s}}]"


@pytest.mark.parametrize("restores", ["true", "false"])
def test_the_last_weights_are_those_of_the_last_epoch_whatever_the_run_hands_out(folder, tmp_path, restores):
    """With a learning rate that is far too large, the best epoch is not the last."""
    with np.load(folder / "bars.npz") as arrays:
        np.savez(tmp_path / "own.npz", x_train=arrays["x_train"], y_train=arrays["y_train"])
    (tmp_path / "bars.yaml").write_text(SPEC.replace("bars.npz", "own.npz"))
    rate = "compile.optimizer={Adam: {learning_rate: 0.3}}"
    changes = ("--set", STOPPING % restores, "--set", rate, "--epochs", 8, "--set", "data.validation_split=0.3")
    assert cnncli(tmp_path, "train", "bars.yaml", *changes, "--output", "run").returncode == 0
    figures = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    handed_out = json.loads((tmp_path / "run/result.json").read_text())["epoch"]
    assert handed_out < len(figures)
    for weights, epoch in (("best", handed_out), ("last", len(figures))):
        found = json.loads(cnncli(tmp_path, "evaluate", "run", "--weights", weights, "--json").stdout)
        assert found["model"] == f"run/{weights}.safetensors"
        for name in ("loss", "accuracy"):
            assert found[name] == figures[epoch - 1][f"val_{name}"]
        said = cnncli(tmp_path, "evaluate", "run", "--weights", weights).stdout
        assert said.splitlines()[0].endswith(f"samples, weights of epoch {epoch})")
    assert json.loads(cnncli(tmp_path, "evaluate", "run", "--json").stdout)["model"] == "run/best.safetensors"


def test_weights_are_chosen_of_a_run_that_has_them(folder, tmp_path):
    run = runs(folder)[-1]
    done = cnncli(folder, "evaluate", run / "best.safetensors", "--weights", "last")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: --weights says which weights of a run to take; '{run / 'best.safetensors'}' is a model file\n",
    )
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/best.safetensors").unlink()
    done = cnncli(tmp_path, "evaluate", "run", "--weights", "best")
    assert (done.returncode, done.stderr) == (2, "error: 'run' has no best.safetensors; it has last.safetensors\n")


def test_what_is_no_model_is_said_in_one_line(folder, tmp_path):
    assert cnncli(tmp_path, "evaluate").stderr == (
        "error: there is no run under runs/ yet; name a run, a model file or a spec\n"
    )
    assert cnncli(folder, "evaluate", "nothing").stderr == "error: there is no run, model file or spec 'nothing'\n"
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((runs(folder)[0] / "best.safetensors").read_bytes()[:-7])
    done = cnncli(folder, "evaluate", broken)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is truncated" in done.stderr


def test_a_run_that_was_killed_before_it_had_a_model_is_not_the_newest(folder):
    begun = folder / "runs/bars/29991231-000000"
    before = cnncli(folder, "evaluate", "--json").stderr
    begun.mkdir()
    (begun / "spec.yaml").write_text(SPEC)
    try:
        assert cnncli(folder, "evaluate", "--json").stderr == before
    finally:
        shutil.rmtree(begun)


def test_the_figures_are_told_even_where_the_misclassified_samples_can_not_be_written(folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs(folder)[0], run)
    (run / "misclassified.csv").unlink(missing_ok=True)
    (run / "misclassified.csv").mkdir()
    done = cnncli(folder, "evaluate", run, "--json")
    assert done.returncode == 1
    assert done.stderr.count("misclassified.csv: can't be written") == 1
    assert json.loads(done.stdout)["samples"] == 9


def test_a_run_is_evaluated_on_npy_files_and_tables(folder):
    run = runs(folder)[-1]
    with np.load(folder / "bars.npz") as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    (folder / "arrays").mkdir()
    np.save(folder / "arrays/x_test.npy", x)
    np.save(folder / "arrays/y_test.npy", y)
    table = [[str(label), *map(str, image.ravel().tolist())] for label, image in zip(y, x, strict=True)]
    (folder / "own_test.csv").write_text("".join(",".join(row) + "\n" for row in table))
    expected = json.loads(cnncli(folder, "evaluate", run, "--json").stdout)
    for data in ("arrays", "arrays/x_test.npy", "own_test.csv"):
        found = json.loads(cnncli(folder, "evaluate", run, "--data", data, "--json").stdout)
        assert (found["loss"], found["samples"]) == (expected["loss"], expected["samples"])
