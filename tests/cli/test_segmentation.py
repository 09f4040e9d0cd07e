"""`targets: masks`: a segmentation from its spec to its evaluation."""

import json

import pytest

from tests.cli.test_train import cnncli

SPEC = """\
name: pixels
data:
  dataset: {synthetic: {image_shape: [8, 8, 1], classes: 2, train: 90, test: 30}}
  targets: masks
  validation_split: 0.1
  augment: [RandomFlip, {RandomTranslation: {height_factor: 0.1, width_factor: 0.1}}, CutMix, MixUp]
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: 3, kernel_size: 3, padding: same, activation: softmax}
compile:
  optimizer: {Adam: {learning_rate: 0.02}}
  loss: categorical_crossentropy
  metrics: [accuracy]
fit:
  epochs: 4
  batch_size: 16
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a whole run, and one that ended after two epochs and was resumed on one thread."""
    path = tmp_path_factory.mktemp("masks")
    (path / "pixels.yaml").write_text(SPEC)
    assert cnncli(path, "train", "pixels.yaml", "--output", "whole").returncode == 0
    assert cnncli(path, "train", "pixels.yaml", "--output", "parts", "--epochs", "2").returncode == 0
    assert cnncli(path, "train", "--resume", "parts", "--epochs", "4", "--threads", "1").returncode == 0
    return path


def test_training_makes_the_loss_smaller_and_resuming_gives_the_same_bits(folder):
    history = [json.loads(line) for line in (folder / "whole/metrics.jsonl").read_text().splitlines()]
    assert history[-1]["loss"] < history[0]["loss"]
    assert (folder / "parts/best.safetensors").read_bytes() == (folder / "whole/best.safetensors").read_bytes()


def test_an_evaluation_counts_pixels(folder):
    document = json.loads(cnncli(folder, "evaluate", "whole", "--json").stdout)
    confusion = document["confusion"]
    assert [row["name"] for row in document["classes"]] == ["background", "disc", "square"]
    assert sum(map(sum, confusion)) == 30 * 64
    assert document["accuracy"] == pytest.approx(sum(confusion[i][i] for i in range(3)) / (30 * 64))
    assert (document["samples"], document["misclassified"]) == (30, None)
    done = cnncli(folder, "evaluate", "whole")
    assert "pixels" in done.stdout
    assert "misclassified" not in done.stdout
    assert not (folder / "whole/misclassified.csv").exists()


def test_one_number_a_pixel_tells_two_classes_apart(folder):
    # All masks of one class: what belongs to a shape is class 1.
    sets = [
        *("--set", "model.layers.conv2d_1.filters=1", "--set", "model.layers.conv2d_1.activation=sigmoid"),
        *("--set", "compile.loss=binary_crossentropy"),
    ]
    done = cnncli(folder, "check", "pixels.yaml", *sets)
    assert done.returncode == 2
    assert "binary_crossentropy with one output can distinguish only two classes; the data has 3 classes" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.layers.conv2d_1.filters=2", "the data has 3 classes, but the last layer has 2 outputs"),
        ("model.layers.conv2d_1.padding=valid", "per pixel, [8, 8, classes]; received [6, 6, 3]"),
        ("model.layers.conv2d_1.filters=1", "softmax over 1 output always gives 1"),
        ("data.dataset=mnist5k", "`targets: masks` requires images with masks; mnist5k has labels only"),
    ],
)
def test_what_does_not_go_with_masks_is_told_before_anything_is_done(folder, change, said):
    done = cnncli(folder, "train", "pixels.yaml", "--set", change)
    assert done.returncode == 2
    assert said in done.stderr
