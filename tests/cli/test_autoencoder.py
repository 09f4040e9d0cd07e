"""`targets: input`: an auto-encoder from its spec to its evaluation."""

import json

import numpy as np
import pytest

from tests.cli.test_train import cnncli

SPEC = """\
name: bottleneck
data:
  dataset: {synthetic: {image_shape: [8, 8, 1], train: 90, test: 30}}
  targets: input
  validation_split: 0.1
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: 1, kernel_size: 3, padding: same, activation: sigmoid}
compile:
  optimizer: {Adam: {learning_rate: 0.02}}
  loss: mean_squared_error
fit:
  epochs: 4
"""


@pytest.fixture(scope="module", params=["mean_squared_error", "binary_crossentropy"])
def folder(request, tmp_path_factory):
    """A folder with a whole run, and one that ended after two epochs and was resumed."""
    path = tmp_path_factory.mktemp(request.param)
    (path / "ae.yaml").write_text(SPEC.replace("mean_squared_error", request.param))
    assert cnncli(path, "train", "ae.yaml", "--output", "whole").returncode == 0
    assert cnncli(path, "train", "ae.yaml", "--output", "parts", "--epochs", "2").returncode == 0
    assert cnncli(path, "train", "--resume", "parts", "--epochs", "4").returncode == 0
    return path


def test_training_makes_the_loss_smaller_and_resuming_gives_the_same_bits(folder):
    history = [json.loads(line) for line in (folder / "whole/metrics.jsonl").read_text().splitlines()]
    assert [set(line) for line in history] == [{"epoch", "loss", "val_loss", "learning_rate", "seconds"}] * 4
    assert history[-1]["loss"] < history[0]["loss"]
    assert (folder / "parts/best.safetensors").read_bytes() == (folder / "whole/best.safetensors").read_bytes()


def test_its_json_has_a_loss_and_no_classes(folder):
    end = json.loads(cnncli(folder, "train", "ae.yaml", "--json", "--output", "json").stdout.splitlines()[-1])
    assert list(end["test"]) == ["loss"]
    document = json.loads(cnncli(folder, "evaluate", "json", "--json").stdout)
    assert document["loss"] == end["test"]["loss"]
    assert (document["samples"], document["split"]) == (30, "test")
    assert (document["classes"], document["confusion"], document["misclassified"]) == ([], None, None)


def test_people_get_its_loss_and_no_confusion_matrix(folder):
    done = cnncli(folder, "evaluate", "whole")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("test  loss ")
    assert not (folder / "whole/misclassified.csv").exists()


def test_other_images_need_no_labels(folder):
    np.savez(folder / "own.npz", x_test=np.zeros((5, 8, 8), np.uint8))
    assert json.loads(cnncli(folder, "evaluate", "whole", "--data", "own.npz", "--json").stdout)["samples"] == 5
    done = cnncli(folder, "evaluate", "whole", "--data", "synthetic", "--json")
    assert json.loads(done.stdout)["samples"] == 1000
