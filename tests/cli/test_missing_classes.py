"""Splits that have no image of some class: trained on and evaluated with a warning, by the names of the classes."""

import json

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from tests.cli.test_train import cnncli

NAMES = tuple("abcdefghij")
SPEC = """\
seed: 1
data: {dataset: photos, image_size: [6, 6], DATA}
model: {layers: [Flatten, Dense: {units: 10, activation: softmax}]}
compile: {optimizer: {Adam: {learning_rate: 0.05}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 12, batch_size: 10}
"""


def shades(root, names=NAMES, count=6):
    """A folder a class, each with pictures in which another bar is bright."""
    generator = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 60, (6, 6, 3))
            pixels.reshape(12, 9)[NAMES.index(name)] += 180
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shades")
    shades(path / "photos/train")
    shades(path / "photos/test", ("j", "c"), 3)
    (path / "own.yaml").write_text(SPEC.replace(", DATA", ""))
    done = cnncli(path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    (path / "said").write_text(done.stderr)
    return path


NONE = "warning: no test image shows classes a, b, d, e, f and 3 more; metrics tell nothing about them\n"


def test_a_test_folder_of_two_of_ten_classes_is_a_warning_that_names_some(folder):
    assert NONE in (folder / "said").read_text()
    done = cnncli(folder, "evaluate", "run", "--json")
    assert done.stderr == NONE
    found = json.loads(done.stdout)
    assert (found["samples"], found["accuracy"], found["classes"][0]["recall"]) == (6, 1, None)
    assert cnncli(folder, "report", "run", "-o", "page.html").returncode == 0
    assert ">nan<" not in (folder / "page.html").read_text().lower()


@pytest.mark.parametrize("names", [("c", "j"), ("j",), ("c",)])
def test_other_folders_are_evaluated_by_the_names_of_their_classes(folder, names):
    place = folder / "".join(names)
    shades(place, names, 4)
    done = cnncli(folder, "evaluate", "run", "--data", place.name, "--json")
    assert "warning: no test image shows classes a, b, " in done.stderr
    found = json.loads(done.stdout)
    assert (found["samples"], found["accuracy"]) == (4 * len(names), 1)
    assert [row["name"] for row in found["classes"] if row["support"]] == list(names)
    shown = cnncli(folder, "evaluate", "run", "--data", place.name).stdout
    assert "nan" not in shown + done.stdout.lower()
    plots = cnncli(folder, "evaluate", "run", "--data", place.name, "--plots", "plots")
    assert plots.returncode == 0, plots.stderr


def test_tables_of_files_and_of_pixels_go_by_name_too(folder):
    place = folder / "listed"
    shades(place, ("b", "h"), 2)
    lines = [f"{name}/{i}.png,{name}\n" for name in ("h", "b") for i in (0, 1)]
    (place / "labels.csv").write_text("file,label\n" + "".join(lines))
    rows = [[name, *np.array(Image.open(place / name / "0.png")).ravel().tolist()] for name in ("h", "b", "h")]
    header = ["label", *(f"p{i}" for i in range(108))]
    (folder / "own.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in (header, *rows)))
    for source, count in (("listed", 4), ("own.csv", 3)):
        done = cnncli(folder, "evaluate", "run", "--data", source, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["samples"], found["accuracy"]) == (count, 1)


def test_a_class_that_the_model_has_not_is_named(folder):
    shades(folder / "unknown", ("c", "j"), 1)
    (folder / "unknown/j").rename(folder / "unknown/k")
    done = cnncli(folder, "evaluate", "run", "--data", "unknown")
    assert (done.returncode, done.stderr) == (
        1,
        "error: unknown: the classes must be those that the model was trained on, a, b, c, d, e, f, g, h, i, j; "
        "received c, k\n",
    )


def test_a_class_of_one_image_is_trained_on_and_validated_without(tmp_path):
    shades(tmp_path / "photos")
    for i in range(1, 6):
        (tmp_path / f"photos/d/{i}.png").unlink()
    (tmp_path / "own.yaml").write_text(SPEC.replace("DATA", "validation_split: 0.2"))
    done = cnncli(tmp_path, "train", "own.yaml", "--epochs", 1, "--output", "run")
    assert done.returncode == 0
    assert done.stderr == "warning: no validation image shows class d; metrics tell nothing about it\n"
    assert "44 training, " not in done.stdout
    assert json.loads((tmp_path / "run/splits.json").read_text())["train"]["files"].count("d/0.png") == 1


def test_a_class_of_test_images_without_training_images_is_an_error(tmp_path):
    shades(tmp_path / "photos/train", ("a", "b"), 2)
    shades(tmp_path / "photos/Test", ("a", "c"), 2)
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset="photos"), tmp_path)
    assert "  train/c: a class must have at least one training image\n" in str(caught.value)


def test_skipped_files_may_leave_a_split_without_a_class_but_not_the_training(tmp_path):
    shades(tmp_path / "photos/train", ("a", "b"), 2)
    shades(tmp_path / "photos/test", ("a", "b"), 1)
    (tmp_path / "photos/test/b/0.png").write_text("")
    found = load(DataSection(dataset="photos", on_error="skip"), tmp_path)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 4, "test": 1}
    for i in (0, 1):
        (tmp_path / f"photos/train/b/{i}.png").write_text("")
    with pytest.raises(CnncliError, match="train b: a class must have at least one image that can be read"):
        load(DataSection(dataset="photos", on_error="skip"), tmp_path)


def test_class_numbers_of_arrays_stay_numbers(tmp_path):
    x, y = np.zeros((4, 6, 6, 3), np.uint8), np.array([0, 1, 2, 2])
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[2:], y_test=y[2:])
    spec = SPEC.replace("photos, image_size: [6, 6], DATA", "own.npz").replace("units: 10", "units: 3")
    (tmp_path / "own.yaml").write_text(spec)
    done = cnncli(tmp_path, "train", "own.yaml", "--epochs", 1, "--output", "run")
    assert "warning: no test image shows classes 0, 1; metrics tell nothing about them\n" in done.stderr
    np.savez(tmp_path / "one.npz", x_test=x[:2], y_test=y[2:])
    found = json.loads(cnncli(tmp_path, "evaluate", "run", "--data", "one.npz", "--json").stdout)
    assert [row["support"] for row in found["classes"]] == [0, 0, 2]


def test_values_of_0_and_1_are_no_classes(tmp_path):
    x, y = np.zeros((4, 6, 6, 3), np.uint8), np.array([0.0, 1.0, 0.0, 1.0])
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    spec = "data: {dataset: own.npz, targets: values}\nmodel: {layers: [Flatten, Dense: {units: 1}]}\n"
    (tmp_path / "own.yaml").write_text(spec + "compile: {optimizer: adam, loss: mse}\nfit: {epochs: 1}\n")
    assert "shows class" not in cnncli(tmp_path, "train", "own.yaml", "--output", "run").stderr
    assert "shows class" not in cnncli(tmp_path, "evaluate", "run").stderr


def test_labels_of_several_classes_go_by_name_in_any_order(tmp_path):
    for place, columns in (("photos", "a,b,c"), ("other", "c,a,b"), ("fewer", "c,a")):
        shades(tmp_path / place, NAMES[:3], 4)
        lines = []
        for name in "abc":
            shown = ",".join(str(int(column == name)) for column in columns.split(","))
            lines += [f"{name}/{i}.png,{shown}\n" for i in range(4)]
        (tmp_path / place / "labels.csv").write_text(f"file,{columns}\n" + "".join(lines))
    spec = SPEC.replace(", DATA", "").replace("units: 10, activation: softmax", "units: 3, activation: sigmoid")
    spec = spec.replace("categorical_crossentropy", "binary_crossentropy").replace("[accuracy]", "[binary_accuracy]")
    (tmp_path / "own.yaml").write_text(spec)
    assert cnncli(tmp_path, "train", "own.yaml", "--output", "run").returncode == 0
    (tmp_path / "other/b/0.png").unlink()
    (tmp_path / "other/labels.csv").write_text(
        (tmp_path / "other/labels.csv").read_text().replace("b/0.png,0,0,1\n", "")
    )
    found = json.loads(cnncli(tmp_path, "evaluate", "run", "--data", "other", "--json").stdout)
    assert (found["binary_accuracy"], [row["support"] for row in found["classes"]]) == (1, [4, 3, 4])
    done = cnncli(tmp_path, "evaluate", "run", "--data", "fewer")
    assert done.stderr.endswith(
        "fewer: labels of several classes must tell all of the model's, a, b, c; received c, a\n"
    )
