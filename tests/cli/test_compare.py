"""`cnncli compare`: runs side by side, from the files that trainings leave."""

import json
import re
from xml.etree import ElementTree

import pytest

from tests.cli.test_train import SPEC, cnncli
from tests.training import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two seeds of two specs, and one of the runs again."""
    path = tmp_path_factory.mktemp("compared")
    small.write_data(path)
    (path / "bars.yaml").write_text(SPEC)
    for run, arguments in {
        "a1": ["--seed", 1],
        "a2": ["--seed", 2],
        "b1": ["--seed", 1, "--batch-size", 4],
        "b2": ["--seed", 2, "--batch-size", 4],
        "again": ["--seed", 1],
    }.items():
        done = cnncli(path, "train", "bars.yaml", "-o", run, *arguments)
        assert done.returncode == 0, done.stderr
    return path


def document(folder, *arguments):
    done = cnncli(folder, "compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_runs_have_the_figures_that_training_ended_with(folder):
    found = document(folder, "a1", "b1")
    runs = {run["run"]: run for run in json.loads(cnncli(folder, "runs", "--json").stdout)}
    assert found["spec"] == {"fit.batch_size": [8, 4]}
    for place, name in enumerate(("a1", "b1")):
        figures = {key: spreads[place]["mean"] for key, spreads in found["figures"].items()}
        assert {key: figures[key] for key in runs[name]["figures"]} == runs[name]["figures"]
        assert {key: figures[f"test_{key}"] for key in runs[name]["test"]} == runs[name]["test"]
    assert [spread["mean"] for spread in found["figures"]["parameters"]] == [30 + 56, 30 + 56]
    assert (found["same_data"], found["equal_weights"], found["paired"]) == (True, [], [])


def test_seeds_are_grouped_and_people_see_mean_and_deviation(folder):
    found = document(folder, "a1", "b1", "a2", "b2")
    assert [[run["seed"] for run in group["runs"]] for group in found["groups"]] == [[1, 2], [1, 2]]
    lines = cnncli(folder, "compare", "a1", "b1", "a2", "b2").stdout.splitlines()
    assert lines[:4] == ["A  a1", "   a2", "B  b1", "   b2"]
    assert lines[5].split() == ["spec", "A", "B"]
    assert lines[6].split() == ["fit.batch_size", "8", "4"]
    spreads = found["figures"]["val_loss"]
    (row,) = (line for line in lines if line.startswith("val_loss"))
    means = [f"{one['mean']:.4f} ± {one['deviation']:.4f}" for one in spreads]
    assert re.split(r"\s\s+", row)[1:3] == means


def test_equal_weights_are_told(folder):
    lines = cnncli(folder, "compare", "a1", "again").stdout.splitlines()
    assert "the specs are equal" in lines
    assert lines[-1] == "weights: those of A and B are equal, bit for bit"


def test_a_paired_test_counts_the_images_that_one_of_them_gets_right(folder):
    (pair,) = document(folder, "a1", "b1", "--paired")["paired"]
    wrong = []
    for run in ("a1", "b1"):
        assert cnncli(folder, "evaluate", run).returncode == 0
        table = (folder / run / "misclassified.csv").read_text().splitlines()[1:]
        wrong.append({int(line.split(",")[0]) for line in table})
    one, two = wrong
    wanted = {"both": 9 - len(one | two), "first": len(two - one), "second": len(one - two), "neither": len(one & two)}
    assert {name: pair[name] for name in wanted} == wanted
    assert (pair["samples"], pair["split"]) == (9, "test")
    text = cnncli(folder, "compare", "a1", "b1", "--paired").stdout
    assert f"A and B on the same 9 test images: right {pair['first_right']:.2%} and {pair['second_right']:.2%}" in text
    assert f"McNemar's test: p = {pair['p']:.2g}: the difference may well be chance" in text


def test_what_can_not_be_paired_is_told(folder, tmp_path):
    small.write_data(tmp_path, scale=2.0)
    (tmp_path / "bars.yaml").write_text(SPEC)
    assert cnncli(tmp_path, "train", "bars.yaml", "-o", "other").returncode == 0
    found = document(folder, "a1", tmp_path / "other", "--paired")
    assert found["paired"] == []
    assert "a paired test needs the same images; those of the test split are not" in found["unpaired"][0]
    assert found["same_data"] is False
    text = cnncli(folder, "compare", "a1", tmp_path / "other").stdout
    assert "data: the runs were trained on different data" in text


def test_a_damaged_run_is_compared_as_far_as_it_is_known(folder, tmp_path):
    run = tmp_path / "damaged"
    run.mkdir()
    (run / "spec.yaml").write_text("model: [")
    (run / "last.safetensors").write_bytes(b"damaged")
    (run / "metrics.jsonl").write_text('{"epoch": 1, "loss": NaN, "val_loss": 0.5, "seconds": null}\n{"epo')
    (run / "result.json").write_text('{"test": {"loss": 1%s, "accuracy": "high"}, "digest": 3}' % ("0" * 400))
    found = document(folder, "a1", run)
    assert (found["spec"], found["same_data"], found["equal_weights"]) == ({}, None, [])
    assert found["figures"]["loss"][1]["mean"] is None
    assert (found["figures"]["val_loss"][1]["mean"], found["figures"]["test_loss"][1]) == (0.5, None)
    text = cnncli(folder, "compare", "a1", run, "--paired").stdout
    assert "spec: that of B can't be read" in text
    assert f"not tested: a1 and {run}: " in text


def test_a_gate_exits_with_1_if_a_run_is_worse(folder):
    accuracy = document(folder, "a1", "b1")["figures"]["test_accuracy"]
    order = ["a1", "b1"] if accuracy[0]["mean"] >= accuracy[1]["mean"] else ["b1", "a1"]
    loss = ["--metric", "loss", "--fail-if-worse"]
    losses = [spread["mean"] for spread in document(folder, "a1", "b1")["figures"]["loss"]]
    better, worse = ("a1", "b1") if losses[0] < losses[1] else ("b1", "a1")
    done = cnncli(folder, "compare", better, worse, *loss, "0")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: loss of B is {max(losses):.6g}, worse than {min(losses):.6g} of A by ")
    assert cnncli(folder, "compare", worse, better, *loss, "0").returncode == 0
    assert cnncli(folder, "compare", better, worse, *loss, "1000%").returncode == 0
    assert cnncli(folder, "compare", *reversed(order), "--fail-if-worse", "0").returncode == 0
    found = json.loads(cnncli(folder, "compare", better, worse, *loss, "0", "--json").stdout)
    assert len(found["worse"]) == 1


def test_curves_are_written_as_a_picture(folder, tmp_path):
    done = cnncli(folder, "compare", "a1", "b1", "-o", tmp_path / "c.svg")
    assert done.stdout.endswith(f"curves  {tmp_path}/c.svg\n")
    text = "".join(ElementTree.parse(tmp_path / "c.svg").getroot().itertext())
    for name in ("A ", "B ", "a1 validation", "b1 validation", "Loss", "Accuracy"):
        assert name in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a1"], "compare needs at least two different runs; received 1"),
        (["a1", "a1"], "compare needs at least two different runs; received 1"),
        (["a1", "a3"], "compare needs a run; there is no run 'a3'"),
        (["a1", "b1", "--metric", "loss"], "--metric says what --fail-if-worse is about: give both"),
        (["a1", "b1", "--data", "x"], "--data says what --paired evaluates on: give both"),
        (["a1", "b1", "--fail-if-worse", "much"], "--fail-if-worse must be like 0.5%, 0.5pp or 0.005; received 'much'"),
        (["a1", "b1", "--fail-if-worse", "1%", "--metric", "val_los"], "not all runs have 'val_los'; did you mean"),
        (["a1", "b1", "-o", "c.gif"], "pictures are written as .svg or .png; received 'c.gif'"),
    ],
)
def test_wrong_usage_is_told_in_one_line(folder, arguments, message):
    done = cnncli(folder, "compare", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
