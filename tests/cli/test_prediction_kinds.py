"""What `predict` says of outputs that are not a probability for each class."""

import csv
import json

import numpy as np
import pytest

from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from cnncli.report.prediction.outputs import Classes, Labels, Mask, Numbers, Reconstruction, reader
from tests.cli.test_train import cnncli

layers()
SPEC = """\
name: {name}
data: {{dataset: made.npz{data}}}
model:
  layers:
{layers}
compile: {{optimizer: adam, loss: {loss}}}
fit: {{epochs: 1, batch_size: 4}}
"""
FLAT = "    - Flatten\n    - Dense: {{units: {units}, activation: {activation}}}"
MAP = "    - Conv2D: {{filters: {units}, kernel_size: 3, padding: same, activation: {activation}}}"
KINDS = {
    "binary": (FLAT, 1, "sigmoid", "binary_crossentropy", (12,)),
    "labels": (FLAT, 3, "sigmoid", "binary_crossentropy", (12, 3)),
    "numbers": (FLAT, 2, "linear", "mean_squared_error", (12, 2)),
    "mask": (MAP, 1, "sigmoid", "binary_crossentropy", (12, 4, 5)),
    "segments": (MAP, 3, "softmax", "categorical_crossentropy", (12, 4, 5)),
    "encoder": (MAP, 1, "sigmoid", "mean_squared_error", None),
    "logits": (FLAT, 3, "linear", "{sparse_categorical_crossentropy: {from_logits: true}}", (12,)),
    "logit": (FLAT, 1, "linear", "{binary_crossentropy: {from_logits: true}}", (12,)),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By the kind: a folder with a run `run` and the images `x.npy`, and the outputs that `--output` writes."""
    found = {}
    random = np.random.default_rng(3)
    for name, (entry, units, activation, loss, shape) in KINDS.items():
        path = tmp_path_factory.mktemp(name)
        x = random.integers(0, 256, (12, 4, 5)).astype(np.uint8)
        y = {} if shape is None else {"y_train": random.integers(0, 2, shape).astype(np.float32)}
        if name not in ("labels", "numbers", "encoder"):
            y = {"y_train": random.integers(0, 2, shape)}
        np.savez(path / "made.npz", x_train=x, **y)
        np.save(path / "x.npy", x)
        lines = entry.format(units=units, activation=activation)
        data = {"encoder": ", targets: input", "mask": ", targets: masks", "segments": ", targets: masks"}.get(name, "")
        (path / "spec.yaml").write_text(SPEC.format(name=name, data=data, layers=lines, loss=loss))
        for arguments in (("train", "spec.yaml", "--output", "run"), ("predict", "run", "x.npy", "--output", "y.npy")):
            done = cnncli(path, *arguments)
            assert done.returncode == 0, done.stderr
        found[name] = path, np.load(path / "y.npy")
    return found


def told(path):
    """The predictions of the JSON object, the lines for people, the rows of the table."""
    document = json.loads(cnncli(path, "predict", "run", "x.npy", "--json").stdout)
    lines = cnncli(path, "predict", "run", "x.npy").stdout.splitlines()
    cnncli(path, "predict", "run", "x.npy", "--output", "y.csv")
    with (path / "y.csv").open() as file:
        rows = list(csv.reader(file))
    return document["predictions"], [line.split("\t") for line in lines], rows


def test_one_output_is_a_yes_or_a_no(trained):
    path, outputs = trained["binary"]
    found, lines, rows = told(path)
    assert outputs.shape == (12, 1)
    assert rows[0] == ["file", "predicted", "0", "1"]
    for output, each, line in zip(outputs[:, 0], found, lines, strict=True):
        assert each["class"] == line[1] == ("1" if output > 0.5 else "0")
        assert each["probabilities"] == pytest.approx([1 - output, output], abs=1e-7)
        assert each["probability"] == max(each["probabilities"])


def test_of_several_labels_those_above_a_half_are_told(trained):
    path, outputs = trained["labels"]
    found, lines, rows = told(path)
    for output, each, line, row in zip(outputs, found, lines, rows[1:], strict=True):
        names = [str(place) for place in np.argsort(-output) if output[place] > 0.5]
        assert each["classes"] == names
        assert np.array(each["probabilities"], np.float32).tolist() == output.tolist()
        assert line[1] == (", ".join(names) or "none")
        assert row[1] == " ".join(names)


def test_several_labels_are_evaluated_label_by_label(trained):
    path, _ = trained["labels"]
    with np.load(path / "made.npz") as arrays:
        np.savez(path / "test.npz", x_test=arrays["x_train"], y_test=arrays["y_train"])
        labels = arrays["y_train"].astype(int)
    document = json.loads(cnncli(path, "evaluate", "run", "--data", "test.npz", "--json").stdout)
    assert [row["support"] for row in document["classes"]] == labels.sum(0).tolist()
    assert document["confusion"] is None
    _, outputs = trained["labels"]
    wrong = (outputs > 0.5) != labels
    with (path / "run/misclassified.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == document["misclassified"] == wrong.any(1).sum()
    for row in rows:
        assert sorted(row["wrong"].split()) == [str(label) for label in np.flatnonzero(wrong[int(row["index"])])]
    text = cnncli(path, "evaluate", "run", "--data", "test.npz").stdout
    assert "micro average" in text
    done = cnncli(path, "evaluate", "run", "--data", "test.npz", "--normalize", "all")
    assert done.stderr == "error: --normalize needs a confusion matrix, which this model does not have\n"
    done = cnncli(path, "evaluate", "run", "--data", "test.npz", "--top-k", 1)
    assert done.stderr == "error: --top-k needs a model that gives each sample one of several classes\n"


@pytest.mark.parametrize("name", ["logits", "logit"])
def test_logits_are_told_as_the_probabilities_that_they_mean_and_written_as_they_are(trained, name):
    path, outputs = trained[name]
    found, lines, rows = told(path)
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    if name == "logit":
        one = 1 / (1 + np.exp(-outputs))
        shares = np.hstack([1 - one, one])
    assert (outputs < 0).any()
    assert rows[0] == ["file", "predicted", *map(str, range(shares.shape[1]))]
    for share, each, line, row in zip(shares, found, lines, rows[1:], strict=True):
        assert each["class"] == line[1] == row[1] == str(share.argmax())
        assert each["probabilities"] == pytest.approx(share, rel=1e-5)


def test_numbers_stay_in_their_order(trained):
    path, outputs = trained["numbers"]
    found, lines, rows = told(path)
    assert rows[0] == ["file", "0", "1"]
    for output, each, line, row in zip(outputs, found, lines, rows[1:], strict=True):
        assert np.array(each["values"], np.float32).tolist() == output.tolist()
        assert [float(cell) for cell in row[1:]] == each["values"]
        assert [pair.split(" ")[0] for pair in line[1].split("  ")] == ["0", "1"]


@pytest.mark.parametrize("name", ["mask", "segments"])
def test_masks_are_told_by_the_share_of_pixels_of_each_class(trained, name):
    path, outputs = trained[name]
    found, lines, rows = told(path)
    classes = 3 if name == "segments" else 2
    chosen = outputs.argmax(-1) if name == "segments" else outputs[..., 0] > 0.5
    assert rows[0] == ["file", "predicted", *map(str, range(classes))]
    for pixels, each, line, row in zip(chosen, found, lines, rows[1:], strict=True):
        shares = [(pixels == number).mean() for number in range(classes)]
        assert each["shares"] == pytest.approx(shares, rel=1e-6)
        assert each["class"] == str(np.argmax(shares)) == line[1] == row[1]


def test_auto_encoders_are_told_by_their_error_and_their_range(trained):
    path, outputs = trained["encoder"]
    found, lines, rows = told(path)
    assert outputs.shape == (12, 4, 5, 1)
    assert rows[0] == ["file", "error", "minimum", "mean", "maximum"]
    x = np.load(path / "x.npy")[..., None] / 255
    for image, output, each, line in zip(x, outputs, found, lines, strict=True):
        expected = [((image - output) ** 2).mean(), output.min(), output.mean(), output.max()]
        assert [each[name] for name in rows[0][1:]] == pytest.approx(expected, rel=1e-5)
        assert each["output_shape"] == [4, 5, 1]
        assert line[1].startswith("error 0.")


def test_names_and_losses_say_what_outputs_mean():
    def of(loss, outputs, names=(), targets="labels", activation="linear"):
        dense = LAYERS.parse({"Dense": {"units": outputs[-1], "activation": activation}})
        return reader(Model((4,), (Node("dense", dense, (INPUT,)),)), LOSSES.parse(loss), outputs, targets, names)

    assert of("categorical_crossentropy", (3,), ("a", "b")) == Classes(["a", "b", "2"])
    assert of("mse", (3,), activation="softmax") == Classes(["0", "1", "2"])
    assert of("mse", (3,)) == Numbers(["0", "1", "2"])
    assert of("binary_crossentropy", (1,)) == Classes(["0", "1"])
    assert of("binary_crossentropy", (1,), ("cat",)) == Classes(["not cat", "cat"])
    assert of("binary_crossentropy", (2,), ("cat", "dog")) == Labels(["cat", "dog"])
    assert of("binary_crossentropy", (4, 4, 1), ("sky", "tree"), "masks") == Mask(["sky", "tree"])
    assert of("categorical_crossentropy", (4, 4, 3), ("sky", "tree"), "masks") == Mask(["sky", "tree", "2"])
    assert of("mse", (4, 4, 1), targets="input") == Reconstruction()


@pytest.mark.parametrize("kind", KINDS)
def test_explain_explains_classes_of_every_kind_and_refuses_what_are_none(trained, kind):
    path, outputs = trained[kind]
    np.save(path / "one.npy", np.load(path / "x.npy")[0])
    done = cnncli(path, "explain", "run", "one.npy", "--class", "0", "--json")
    if kind in ("numbers", "encoder"):
        assert done.returncode == 2
        assert "outputs are not classes" in done.stderr
        assert cnncli(path, "predict", "run", "one.npy").returncode == 0
        return
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    row = outputs[0].reshape(-1, outputs.shape[-1]).astype(np.float64)
    if kind == "logits":
        row = np.exp(row) / np.exp(row).sum()
    elif kind == "logit":
        row = 1 / (1 + np.exp(-row))
    means = row.mean(0)
    shares = [1 - means[0], means[0]] if len(means) == 1 else means
    assert image["probability"] == pytest.approx(max(shares), rel=1e-5)
    assert image["explained"] in ("0", "background")
