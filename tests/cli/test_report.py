"""`cnncli report`: a page from whatever runs have left."""

import json
import shutil
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import cnncli as library
from tests.cli.test_train import SPEC, cnncli
from tests.report.html.pages import checked
from tests.training import small

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs; the second is the newest."""
    path = tmp_path_factory.mktemp("reported")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    for seed in (1, 2):
        assert cnncli(path, "train", "bars.yaml", "--seed", seed).returncode == 0
    return path


def runs(folder):
    return sorted(path for path in (folder / "runs/bars").iterdir() if not path.is_symlink())


def page(path):
    return checked(path.read_text(encoding="utf-8"))


def test_the_newest_run_is_reported_in_its_directory(folder):
    done = cnncli(folder, "report")
    newest = runs(folder)[-1]
    file = newest / "report.html"
    size = f"{file.stat().st_size / 1e6:.2f} MB"
    assert (done.returncode, done.stderr) == (0, f"model: {newest.relative_to(folder)}\n")
    assert done.stdout == f"report  {file.relative_to(folder)}  ({size})\n"
    found = page(file)
    result = json.loads((newest / "result.json").read_text())
    assert f"test accuracy {result['test']['accuracy']:.4f}" in found.text
    assert "45 training" in found.text
    assert "The data" not in found.text


def test_figures_of_the_page_are_those_of_evaluate(folder):
    newest = runs(folder)[-1]
    document = json.loads(cnncli(folder, "evaluate", newest, "--json").stdout)
    assert cnncli(folder, "report", newest, "-o", "own.html").returncode == 0
    found = page(folder / "own.html")
    assert f"misclassified {document['misclassified']} of 9" in found.text
    assert len([image for image in found.images if " taken for " in image["alt"]]) == document["misclassified"]
    for row in document["classes"]:
        assert f"{row['recall']:.3f} {row['f1']:.3f}" in found.text


def test_several_runs_are_side_by_side_here(folder):
    done = cnncli(folder, "report", *runs(folder))
    assert done.stdout.startswith("report  report.html  (")
    found = page(folder / "report.html")
    assert "Comparison" in [text for _, text in found.headings]
    assert "-seed: 1 +seed: 2" in found.text


def test_a_spec_a_model_file_and_latest_name_their_run(folder):
    newest = runs(folder)[-1]
    for number, given in enumerate(("bars.yaml", newest / "best.safetensors", "runs/bars/latest")):
        assert cnncli(folder, "report", given, "-o", f"{number}.html").returncode == 0
        assert str(newest.name) in page(folder / f"{number}.html").text


def test_the_digest_is_that_of_the_same_training_again(folder, tmp_path):
    newest = runs(folder)[-1]
    assert cnncli(folder, "report", newest, "-o", "again.html").returncode == 0
    (command,) = [
        line for line in (folder / "again.html").read_text().splitlines() if line.endswith("spec.yaml --json")
    ]
    done = cnncli(folder, *command.split()[1:], "--output", tmp_path / "again")
    digest = json.loads(done.stdout.splitlines()[-1])["weights_digest"]
    assert digest in page(folder / "again.html").text


def test_without_its_data_a_run_still_has_curves_and_says_what_is_missing(folder, tmp_path):
    run = tmp_path / "run"
    data = tmp_path / "bars.npz"
    shutil.copy(folder / "bars.npz", data)
    assert cnncli(folder, "train", "bars.yaml", "--data", data, "-o", run).returncode == 0
    data.unlink()
    done = cnncli(folder, "report", run)
    assert done.returncode == 0
    found = page(run / "report.html")
    assert f"Note: The data can't be read: '{data}' is no longer there" in found.text
    titles = [text for _, text in found.headings]
    assert {"Curves", "Model", "Spec"} <= set(titles)
    assert not any(title.startswith("Evaluation") for title in titles)
    assert "Images by split" in found.tables


def test_changed_data_are_pointed_out(folder, tmp_path):
    data = tmp_path / "bars.npz"
    shutil.copy(folder / "bars.npz", data)
    assert cnncli(folder, "train", "bars.yaml", "--data", data, "-o", tmp_path / "run").returncode == 0
    with np.load(data) as arrays:
        changed = {**arrays, "x_test": arrays["x_test"] + 0.01}
    np.savez(data, **changed)
    assert cnncli(folder, "report", tmp_path / "run").returncode == 0
    assert "The data have changed since the training" in page(tmp_path / "run/report.html").text


def test_without_held_out_images_there_is_no_evaluation(folder, tmp_path):
    with np.load(folder / "bars.npz") as arrays:
        np.savez(tmp_path / "bars.npz", x_train=arrays["x_train"], y_train=arrays["y_train"])
    (tmp_path / "bars.yaml").write_text(SPEC.replace("validation_split", "# validation_split"))
    done = cnncli(tmp_path, "train", "bars.yaml", "--set", "data.validation_split=0", "--set", "fit.callbacks=[]")
    assert done.returncode == 0, done.stderr
    assert cnncli(tmp_path, "report", "-o", "page.html").returncode == 0
    found = page(tmp_path / "page.html")
    assert "There is no evaluation" in found.text
    assert "no test images and no validation images" in found.text
    assert "Images by class and split" in found.tables


def test_an_interrupted_run_and_a_diverged_one_say_so(folder, tmp_path):
    small.interrupt(small.plan(folder, epochs=3), tmp_path / "stopped", epoch=2, batch=1)
    stopped = cnncli(folder, "report", tmp_path / "stopped")
    assert stopped.returncode == 0, stopped.stderr
    assert "This run was interrupted" in page(tmp_path / "stopped/report.html").text
    changes = ("--set", "compile.optimizer={SGD: {learning_rate: 1.0e+30}}")
    assert cnncli(folder, "train", "bars.yaml", "-o", tmp_path / "far", *changes).returncode == 3
    assert cnncli(folder, "report", tmp_path / "far").returncode == 0
    found = page(tmp_path / "far/report.html")
    assert "Attention: This run diverged" in found.text
    assert "the loss is" in found.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.jsonl", '{"epoch": "x", "loss": "y", "seconds": "z", "</table>": 1}\n{"epoch": 1, "loss": null}\n'),
        ("metrics.jsonl", "5\n"),
        ("result.json", '{"state": ["x"], "epoch": [1], "test": 5, "reason": {}}'),
        ("result.json", '{"state": "finished", "epoch": 1, "test": {"loss": "<b>", "accuracy": NaN}}'),
        ("environment.json", '{"threads": [1], "command": 5, "commit": {}, "data_digest": 1, "spec_epochs": "x"}'),
        ("splits.json", '{"train": {"start": "x"}, "test": 5}'),
        ("splits.json", "[]"),
        ("spec.yaml", "\udcff"),
        ("spec.yaml", "<script>alert(1)</script>"),
        ("best.safetensors", "x"),
    ],
)
def test_whatever_stands_in_the_files_of_a_run_there_is_a_page(folder, tmp_path, name, content):
    run = tmp_path / "run"
    shutil.copytree(runs(folder)[0], run)
    (run / name).write_text(content, errors="surrogateescape")
    done = cnncli(folder, "report", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert page(run / "report.html").tags.count("script") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "report needs a run; there is no run 'nowhere'"),
        (["bars.npz"], "report needs a run; 'bars.npz' is a file"),
        (["bars.yaml"] * 9, "a report compares at most 8 runs; received 9"),
        (
            ["bars.yaml", "-o", "no/such/page.html"],
            "no/such/page.html: can't be written: there is no directory 'no/such'",
        ),
    ],
)
def test_wrong_use_is_one_line(folder, arguments, message):
    done = cnncli(folder, "report", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert done.stdout == ""


def test_the_library_returns_the_path(folder, tmp_path):
    run = runs(folder)[0]
    made = library.write_report([run], tmp_path / "page.html")
    assert made == tmp_path / "page.html"
    assert page(made)
    with pytest.raises(library.errors.UsageError, match="at least one run"):
        library.write_report([])


def test_the_templates_are_files_of_the_package():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["cnncli"]  # all files of the package
    assert sorted(file.name for file in files("cnncli.report.html").joinpath("templates").iterdir()) == [
        *("page.css", "page.html", "page.js", "parts.html", "run.html")
    ]
