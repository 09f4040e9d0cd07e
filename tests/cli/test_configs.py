"""Every network in `configs/` learns: a small task of its own kind, in a few seconds."""

import json
from pathlib import Path

import pytest

from tests.cli.test_train import cnncli

CONFIGS = Path(__file__).parents[2] / "configs"


def trained(folder, name, *changes):
    """The epochs' figures and those of the test."""
    sets = [argument for change in changes for argument in ("--set", change)]
    done = cnncli(folder, "train", CONFIGS / f"{name}.yaml", "--json", "--output", "run", *sets)
    assert done.returncode == 0, done.stderr
    *epochs, end = map(json.loads, done.stdout.splitlines())
    assert epochs[-1]["loss"] < 0.7 * epochs[0]["loss"]
    return end["test"]


@pytest.mark.parametrize(
    ("name", "image", "output", "epochs", "least"),
    [
        ("lenet5", [28, 28, 1], "dense", 12, 0.75),
        ("vgg_small", [16, 16, 1], "dense_1", 10, 0.75),
        ("vgg_small_bn", [16, 16, 1], "dense_1", 7, 0.8),
        ("resnet20", [16, 16, 1], "dense", 10, 0.7),
        ("mobilenet_small", [16, 16, 1], "dense", 10, 0.75),
        ("densenet_small", [16, 16, 1], "dense", 6, 0.85),
    ],
)
def test_a_classifier_learns_to_tell_four_shapes_apart(tmp_path, name, image, output, epochs, least):
    test = trained(
        tmp_path,
        name,
        f"data.dataset={{synthetic: {{image_shape: {image}, classes: 4, train: 480, test: 200}}}}",
        f"model.input_shape={image}",
        f"model.layers.{output}.units=4",
        f"fit.epochs={epochs}",
        "fit.batch_size=16",
        "expect.test_accuracy=>= 0",
    )
    assert test["accuracy"] >= least


def test_the_auto_encoder_learns_to_give_back_what_it_is_fed(tmp_path):
    image = [16, 16, 3]
    test = trained(
        tmp_path,
        "unet",
        f"data.dataset={{synthetic: {{image_shape: {image}, train: 400, test: 100}}}}",
        f"model.input_shape={image}",
        "fit.epochs=6",
        "fit.batch_size=8",
        "expect.test_loss=< 1",
    )
    assert test["loss"] < 0.025  # the images' own variance is 0.09: the loss of the best constant


def test_the_segmentation_learns_which_pixels_belong_to_which_shape(tmp_path):
    image = [16, 16, 3]
    test = trained(
        tmp_path,
        "segmentation",
        f"data.dataset={{synthetic: {{image_shape: {image}, classes: 4, train: 480, test: 100}}}}",
        f"model.input_shape={image}",
        "fit.epochs=14",
        "fit.batch_size=16",
        "expect.test_accuracy=>= 0",
    )
    assert test["accuracy"] > 0.85  # of all pixels 7 out of 10 are around the shapes


def test_the_smoke_run_meets_what_it_expects_of_itself(tmp_path):
    assert trained(tmp_path, "smoke")["accuracy"] >= 0.9
