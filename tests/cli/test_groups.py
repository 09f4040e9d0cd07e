"""Groups from the command line: honest numbers, what a run and `datasets check` say of them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_train import child_environment, cnncli
from tests.datasets import tracks
from tests.datasets.photos import classes, picture

SPEC = """
name: signs
data: {dataset: signs, validation_split: 0.25}
model:
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, strides: 2, activation: relu}
    - Flatten
    - Dense: {units: 32, activation: relu}
    - Dense: {units: 3, activation: softmax}
compile: {optimizer: {Adam: {learning_rate: 0.003}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 12, batch_size: 16}
"""
OTHER = """
data: {{dataset: {}}}
model: {{input_shape: [6, 4, 3], layers: [Flatten, Dense: {{units: 2, activation: softmax}}]}}
compile: {{optimizer: adam, loss: categorical_crossentropy}}
fit: {{epochs: 1}}
"""
LAYERS = json.dumps(
    {
        "model": {"layers": ["Flatten", {"Dense": {"units": 2, "activation": "softmax"}}]},
        "compile": {"optimizer": "adam", "loss": "categorical_crossentropy"},
        "fit": {"epochs": 1},
    }
)
MASK_NOTE = (
    "1 file is the mask of the image beside it and left out, such as cats/00_mask.png: train on masks with `targets: "
    "masks`, or on all files with `layout: class_folders`"
)
GROUPED = "data.group_by='(.*)_\\d+'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve tracks of each of three drawings to train on, and twelve others for the test."""
    path, generator = tmp_path_factory.mktemp("groups"), np.random.default_rng(0)
    tracks.write(path / "signs/train", generator, 12, 8)
    tracks.write(path / "signs/test", generator, 12, 2, first=36)
    (path / "signs.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNCLI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield path


def accuracies(folder, *options):
    done = cnncli(folder, "train", "signs.yaml", "--json", *options)
    assert done.returncode == 0, done.stderr
    *_, epoch, end = [json.loads(line) for line in done.stdout.splitlines()]
    return epoch["val_accuracy"], end["test"]["accuracy"], end["run"]


def test_a_random_split_of_tracks_flatters_and_groups_are_honest(folder):
    """Frames in both splits: 1.00 in validation and 0.39 on new tracks. Whole tracks: 0.43 and 0.51; chance is 0.33."""
    validation, test, _ = accuracies(folder, "--seed", 0)
    assert validation > 0.95
    assert test < 0.55
    validation, test, run = accuracies(folder, "--seed", 0, "--set", GROUPED)
    assert validation < 0.6
    assert abs(validation - test) < 0.2
    splits = json.loads((folder / run / "splits.json").read_text())
    assert [splits[name]["groups"] for name in ("train", "validation", "test")] == [27, 9, 36]
    held = {name: {file.partition("_")[0] for file in splits[name]["files"]} for name in ("train", "validation")}
    assert not held["train"] & held["validation"]


def test_a_dry_run_says_how_many_groups_a_split_has(folder):
    done = cnncli(folder, "train", "signs.yaml", "--dry-run", "--set", GROUPED)
    assert "\ngroups  27 training, 9 validation, 36 test\n" in done.stdout
    done = cnncli(folder, "train", "signs.yaml", "--dry-run", "--json", "--set", GROUPED)
    assert json.loads(done.stdout.splitlines()[-1])["groups"] == {"train": 27, "validation": 9, "test": 36}


def test_a_model_is_evaluated_on_its_own_test_images_and_on_other_data(folder):
    run = accuracies(folder, "--epochs", 1, "--set", GROUPED)[2]
    for options in ((), ("--data", "signs")):
        done = cnncli(folder, "evaluate", run, "--json", *options)
        assert json.loads(done.stdout)["samples"] == 72


def test_check_warns_of_the_splits_that_a_spec_makes_and_proposes_a_pattern_that_keeps_tracks_together(folder):
    done = cnncli(folder, "datasets", "check", "signs.yaml")
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stdout.splitlines() if "also appear in train" in line]
    assert warning == (
        "72 of 72 validation images (100%) also appear in train, the same or nearly so: metrics on them are too "
        "optimistic; `group_by: '(.*)_\\d+'` under `data` keeps them together, in 36 groups"
    )
    done = cnncli(folder, "datasets", "check", "signs.yaml", "--set", GROUPED)
    lines = done.stdout.splitlines()
    assert lines[0] == f"{folder / 'signs'}: 360 images, 3 classes"
    assert lines[1:5] == [
        "  train: bar 72, disc 72, ring 72",
        "  validation: bar 24, disc 24, ring 24",
        "  test: bar 24, disc 24, ring 24",
        "groups: train 27, validation 9, test 36",
    ]
    assert not any("appear in train" in line for line in lines)


def test_check_of_a_folder_proposes_it_too(folder):
    done = cnncli(folder, "datasets", "check", "signs/train")
    assert done.stdout.splitlines()[-1] == (
        "286 of 288 training images (99%) resemble another one: validation_split would put such images into both "
        "splits; `group_by: '(.*)_\\d+'` under `data` keeps them together, in 36 groups"
    )
    document = json.loads(cnncli(folder, "datasets", "check", "signs/train", "--json").stdout)
    assert (document["group_by"], document["groups"]) == (r"(.*)_\d+", {})


def test_check_divides_folds_as_a_training_does(folder):
    for grouped in ([], ["--set", GROUPED]):
        folds = ["--set", "data.validation_split=0", "--set", "data.folds=4", "--set", "data.fold=2", *grouped]
        document = json.loads(cnncli(folder, "datasets", "check", "signs.yaml", "--json", *folds).stdout)
        run = accuracies(folder, "--epochs", 1, *folds)[2]
        splits = json.loads((folder / run / "splits.json").read_text())
        for name in ("train", "validation", "test"):
            counts = [sum(f"/{shape}/" in file for file in splits[name]["files"]) for shape in tracks.SHAPES]
            assert list(document["counts"][name].values()) == counts
        checked = json.loads(cnncli(folder, "datasets", "check", run, "--json").stdout)  # a run is a spec, too
        assert checked["counts"] == document["counts"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("signs.yaml", "--masks"),
            "error: --masks is for data without a spec; change the spec with --set data.targets=masks\n",
        ),
        (
            ("signs.yaml", "--image-size", "8", "8"),
            "error: --image-size is for data without a spec; change the spec with --set "
            "data.image_size=[HEIGHT,WIDTH]\n",
        ),
        (("signs", "--set", "data.fold=2"), "error: --set changes a spec; signs is not one\n"),
    ],
)
def test_options_go_with_a_source_and_changes_with_a_spec(folder, arguments, message):
    done = cnncli(folder, "datasets", "check", *arguments)
    assert (done.returncode, done.stderr) == (2, message)


def test_what_does_not_allow_the_splits_is_a_problem(folder):
    track = ["--set", "data.group_by=track", "--set", "model.input_shape=[24,24,3]"]
    done = cnncli(folder, "datasets", "check", "signs.yaml", *track)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == [
        "problems: 1",
        "  data.group_by: group_by must be a column of the table, or a regular expression with one group in "
        r"parentheses, such as (.*)_\d+; received track: it must have one group, or one named group; it has 0",
    ]


def test_check_tells_the_layout_that_was_understood_without_numpy(tmp_path):
    """The notes that `train` prints: of a folder by its names, of arrays by their headers, of a table."""
    root = classes(tmp_path / "photos", count=6)
    picture(root / "cats/00_mask.png")
    (tmp_path / "own.yaml").write_text(OTHER.format("photos"))
    code = "import sys; from cnncli.cli import main\ntry: main()\nfinally: print('numpy' in sys.modules)"
    command = [sys.executable, "-c", code, "check", "own.yaml", "--set", "data.group_by=(.*)"]
    done = subprocess.run(command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"own.yaml: ok · 146 parameters · 2 layers · {root}",
        "  " + MASK_NOTE,
        "  group_by (.*) makes each of the 12 training images a group of its own",
        "False",
    ]
    notes = json.loads(cnncli(tmp_path, "check", "own.yaml", "--json").stdout)["notes"]
    assert notes == [MASK_NOTE]


def test_check_tells_which_arrays_and_which_column_were_taken(tmp_path):
    images, labels = np.zeros((4, 6, 4), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "own.npz", train_images=images, train_labels=labels, ids=labels)
    (tmp_path / "own.yaml").write_text(OTHER.format("own.npz").replace("6, 4, 3", "6, 4, 1"))
    assert cnncli(tmp_path, "check", "own.yaml").stdout.splitlines()[1:] == [
        "  arrays are taken by their names: train_images as x_train, train_labels as y_train",
        "  arrays that are not used: ids",
    ]
    rows = [f"{label},{','.join(['7'] * 16)}" for label in (0, 1, 0, 1)]
    (tmp_path / "pixels.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "own.yaml").write_text(OTHER.format("pixels.csv").replace("6, 4, 3", "4, 4, 1"))
    assert cnncli(tmp_path, "check", "own.yaml").stdout.splitlines()[1:] == [
        "  pixels.csv has no header: the first of its 17 columns is taken for the class (`label_column` under `data` "
        "names another)"
    ]


def channels_first(root):
    x = np.random.default_rng(0).integers(0, 256, (8, 3, 8, 8)).astype(np.uint8)
    np.savez(root / "own.npz", x_train=x, y_train=np.arange(8) % 2)
    return {"dataset": "own.npz", "data_format": "channels_first", "validation_split": 0.25, "stratified": True}, (
        8,
        8,
        3,
    )


def other_column(root):
    rows = ["a,b,c,d,kind", *(f"{i},{2 * i},3,4,{'xy'[i % 2]}" for i in range(8))]
    (root / "own.csv").write_text("\n".join(rows))
    return {"dataset": "own.csv", "label_column": "kind", "validation_split": 0.25}, (2, 2, 1)


def class_folders(root):
    classes(root / "own", ("test", "train"))
    return {"dataset": "own", "layout": "class_folders", "validation_split": 0.25}, (6, 4, 3)


@pytest.mark.parametrize("make", [channels_first, other_column, class_folders])
def test_check_reads_the_data_of_a_spec_with_all_its_keys(tmp_path, make):
    data, shape = make(tmp_path)
    made = {**json.loads(LAYERS), "data": data}
    made["model"]["input_shape"] = list(shape)
    (tmp_path / "own.yaml").write_text(json.dumps(made))
    document = json.loads(cnncli(tmp_path, "datasets", "check", "own.yaml", "--json").stdout)
    assert document["problems"] == []
    assert [sum(part.values()) for part in document["counts"].values()] == [6, 2]
    assert (document["sizes"][0]["height"], document["sizes"][0]["width"]) == shape[:2]


def test_check_reads_masks_in_the_colors_of_a_spec(tmp_path):
    colors = np.array([[200, 0, 0], [0, 0, 200]], np.uint8)
    for i in range(4):
        picture(tmp_path / f"own/{i}.png", colour=(40 * i, 3, 7))
        Image.fromarray(colors[np.arange(24).reshape(6, 4) // 6 % 2]).save(tmp_path / f"own/{i}_mask.png")
    data = {"dataset": "own", "targets": "masks", "palette": colors.tolist()}
    layers = [{"Conv2D": {"filters": 2, "kernel_size": 1, "activation": "softmax"}}]
    made = {**json.loads(LAYERS), "data": data, "model": {"input_shape": [6, 4, 3], "layers": layers}}
    (tmp_path / "own.yaml").write_text(json.dumps(made))
    done = cnncli(tmp_path, "datasets", "check", "own.yaml")
    assert "  train: 0 50 %, 1 50 %" in done.stdout.splitlines()


def test_check_tells_the_groups_of_arrays(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (24, 8, 8), np.uint8)
    np.savez(tmp_path / "own.npz", x_train=images, y_train=np.arange(24) % 2, patient=np.arange(24) // 4)
    (tmp_path / "own.yaml").write_text(OTHER.format("own.npz"))
    asked = ["--set", "data.group_by=patient", "--set", "data.validation_split=0.3"]
    done = cnncli(tmp_path, "datasets", "check", "own.yaml", *asked)
    assert "groups: train 4, validation 2\n" in done.stdout, done.stdout + done.stderr
