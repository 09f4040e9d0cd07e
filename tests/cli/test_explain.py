"""`cnncli explain`: the sheet it draws, what it says, and what it refuses."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_predict import SPEC, TEST, X, Y
from tests.cli.test_train import cnncli

RUN = "run"
NUMBERS = """\
name: numbers
data: {dataset: numbers.npz}
model:
  layers:
    - Conv2D: {filters: 2, kernel_size: 3}
    - Flatten
    - Dense: {units: 2}
compile: {optimizer: adam, loss: mean_squared_error}
fit: {epochs: 1, batch_size: 4}
"""
DENSE = """\
name: dense
data: {dataset: bars.npz}
model:
  layers:
    - Flatten
    - Dense: {units: 2, activation: softmax}
compile: {optimizer: adam, loss: categorical_crossentropy}
fit: {epochs: 1, batch_size: 8}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with runs that predict classes (one without convolutions) and numbers, and test images."""
    path = tmp_path_factory.mktemp("explain")
    np.savez(path / "bars.npz", x_train=X[:60], y_train=Y[:60], x_test=TEST, y_test=Y[60:])
    np.savez(path / "numbers.npz", x_train=X[:12], y_train=np.zeros((12, 2), np.float32))
    for name, spec, run in (("bars", SPEC, RUN), ("numbers", NUMBERS, "numbers"), ("dense", DENSE, "dense")):
        (path / f"{name}.yaml").write_text(spec)
        done = cnncli(path, "train", f"{name}.yaml", "--output", run)
        assert done.returncode == 0, done.stderr
    (path / "pictures").mkdir()
    for number, image in enumerate(TEST[:3]):
        Image.fromarray(image).save(path / "pictures" / f"{number}.png")
    (path / "empty.png").touch()
    return path


def explain(folder, *arguments, code=0):
    done = cnncli(folder, "explain", *arguments)
    assert done.returncode == code, done.stderr
    return done


def captions(svg):
    return re.findall(r"<text[^>]*>(?:<title>[^<]*</title>)?([^<]+)</text>", svg.read_text(encoding="utf-8"))


def test_by_default_a_sheet_of_all_methods_is_written_to_explain_svg(folder):
    done = explain(folder, RUN, "pictures/0.png")
    predicted = json.loads(cnncli(folder, "predict", RUN, "pictures/0.png", "--json").stdout)["predictions"][0]
    said = f"0.png: predicted {predicted['class']} ({100 * predicted['probability']:.1f} %)"
    assert done.stdout == f"{said}\nexplain.svg: 1 image\n"
    shown = captions(folder / "explain.svg")
    assert shown[0] == said
    heads = ["Original", "What the network saw", "Grad-CAM", "Saliency", "Occlusion", "Feature maps", "Filters"]
    assert [text for text in shown if text in heads] == heads
    assert (folder / "explain.svg").read_text(encoding="utf-8").count("<image ") == len(heads)


def test_several_images_have_a_row_each_and_the_filters_once(folder):
    done = explain(folder, RUN, "pictures", "-o", "rows.svg")
    assert [line.split(": predicted")[0] for line in done.stdout.splitlines()] == [
        "0.png",
        "1.png",
        "2.png",
        "rows.svg: 3 images",
    ]
    shown = captions(folder / "rows.svg")
    assert [shown.count(text) for text in ("Grad-CAM", "Filters", "0.png", "1.png", "2.png")] == [1] * 5
    assert (folder / "rows.svg").read_text(encoding="utf-8").count("<image ") == 3 * 6 + 1


def test_layers_methods_and_class_are_those_asked_for(folder):
    arguments = ("--layer", "max_pooling2d", "--layer", "conv2d", "--method", "maps,gradcam", "--class", "1")
    document = json.loads(explain(folder, RUN, "pictures/0.png", *arguments, "-o", "some.svg", "--json").stdout)
    (image,) = document["images"]
    assert document["output"] == "some.svg"
    assert (image["file"], image["explained"]) == ("pictures/0.png", "1")
    assert image["gradcam"] == image["maps"] == ["max_pooling2d", "conv2d"]
    shown = captions(folder / "some.svg")
    assert [shown.count(text) for text in ("Grad-CAM", "Feature maps", "Saliency", "Filters")] == [2, 2, 0, 0]


def test_a_png_is_written_by_its_suffix(folder):
    explain(folder, RUN, "pictures/0.png", "--method", "filters", "-o", "sheet.png")
    with Image.open(folder / "sheet.png") as image:
        assert image.format == "PNG"
        assert image.width > image.height


def test_what_the_network_saw_of_inverted_images_is_inverted(folder):
    done = explain(folder, RUN, "pictures/0.png", "--invert", "--method", "filters", "-o", "inverted.svg")
    assert "--invert" in done.stderr  # a warning: they are dark on light now


def test_of_a_model_without_convolutions_saliency_and_occlusion_are_shown(folder):
    explain(folder, "dense", "pictures/0.png", "-o", "dense.svg")
    shown = captions(folder / "dense.svg")
    assert [text in shown for text in ("Saliency", "Occlusion", "Grad-CAM", "Feature maps")] == [
        True,
        True,
        False,
        False,
    ]


def test_of_a_model_of_numbers_maps_and_filters_are_shown(folder):
    done = explain(folder, "numbers", "pictures/0.png", "--method", "maps,filters", "-o", "numbers.svg")
    assert done.stdout == "0.png\nnumbers.svg: 1 image\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [RUN, "pictures/0.png", "--layer", "conv2"],
            "several pixels: conv2d, max_pooling2d; received 'conv2'; did you mean 'conv2d'?",
        ),
        ([RUN, "pictures/0.png", "--layer", "dense"], "layer must be one whose output is an image of several pixels"),
        ([RUN, "pictures/0.png", "--class", "2"], "class must be a name or a number below 2: 0, 1; received '2'"),
        (
            [RUN, "pictures/0.png", "--method", "grad"],
            "a method must be one of gradcam, saliency, occlusion, maps, filters",
        ),
        ([RUN, "pictures/0.png", "-o", "x.pdf"], "pictures are written as .svg or .png; received 'x.pdf'"),
        ([RUN, "pictures/0.png", "--class", "9" * 5000], "class must be a name or a number below 2: 0, 1; received '9"),
        ([RUN, "nothing.png"], "there is no file or folder 'nothing.png'"),
        ([RUN], "explain needs an INPUT after the model"),
        (
            ["numbers", "pictures/0.png"],
            "the outputs are not classes, so no gradcam, saliency, occlusion; the methods maps and filters need none",
        ),
        (["numbers", "pictures/0.png", "--class", "1", "--method", "maps"], "the model's outputs are not classes"),
        (["dense", "pictures/0.png", "--method", "gradcam"], "the model has no convolution, so no gradcam"),
    ],
)
def test_wrong_use_is_answered_in_one_line(folder, arguments, message):
    done = explain(folder, *arguments, code=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "x.pdf").exists()


def test_an_unusable_image_gets_the_line_that_predict_says_and_the_others_are_drawn(folder):
    said = cnncli(folder, "predict", RUN, "empty.png").stderr
    assert explain(folder, RUN, "empty.png", "-o", "none.svg", code=1).stderr == said
    assert not (folder / "none.svg").exists()
    done = explain(folder, RUN, "empty.png", "pictures/1.png", "-o", "one.svg", code=1)
    assert "1 of 2 images could not be used" in done.stderr
    assert done.stdout.endswith("one.svg: 1 image\n")


def test_more_than_a_sheet_of_images_is_refused(folder):
    (folder / "many").mkdir()
    for number in range(21):
        Image.fromarray(TEST[0]).save(folder / "many" / f"{number:02}.png")
    assert "at most 20 images" in explain(folder, RUN, "many", code=2).stderr
