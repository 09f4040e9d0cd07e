"""Layouts that people have: what is understood, what is asked, and what a small network learns from it."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe, find
from cnncli.datasets.layouts.split_names import split_names
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from tests.cli.test_train import cnncli
from tests.datasets.photos import classes, picture

CLASSES = ("disk", "frame")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def drawing(number, generator, size=12):
    """A shape on noise, uint8 (size, size, 3): a disk or a frame."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    distance = (np.hypot(x, y), np.maximum(abs(x), abs(y)))[number]
    shape = distance < 4 if number == 0 else (distance > 3) & (distance < 5)
    noise = generator.integers(0, 60, (size, size, 3))
    return (noise + 180 * shape[..., None]).astype(np.uint8)


def drawings(root, count, seed=0):
    """A folder a class, each with `count` pictures."""
    generator = np.random.default_rng(seed)
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(drawing(number, generator)).save(root / name / f"{i:03}.png")


def samples(root, **options):
    return describe(DataSection(dataset=str(root), **options), root).samples


def message(root, **options):
    with pytest.raises(CnncliError) as caught:
        load(DataSection(dataset=str(root), **options), root)
    return str(caught.value).replace(f"{root.parent}/", "")


SPEC = """\
data: {{dataset: {dataset}, image_size: [12, 12], {data}}}
model: {{layers: [Flatten, Dense: {{units: {units}, activation: softmax}}]}}
compile: {{optimizer: {{Adam: {{learning_rate: 0.01}}}}, loss: categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: 8, batch_size: 8}}
expect: {{test_accuracy: ">= 0.9"}}
"""


def trained(folder, dataset, data="validation_split: 0.1", units=2):
    """Train on a dataset for some epochs, at the end of which the test must be passed; what is printed."""
    (folder / "own.yaml").write_text(SPEC.format(dataset=dataset, data=data, units=units))
    done = cnncli(folder, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("archive/data/train", "archive/data/test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("asl_alphabet_train/asl_alphabet_train", "asl_alphabet_test/asl_alphabet_test"),
        ("trainset", "testset"),
        ("data/TrainData/images", "data/TestData/images"),
    ],
)
def test_splits_by_their_usual_names_are_trained_on(tmp_path, train, test):
    drawings(tmp_path / "own" / train, 30)
    drawings(tmp_path / "own" / test, 8, seed=1)
    (tmp_path / "own/__MACOSX").mkdir()
    (tmp_path / "own/docs").mkdir()
    (tmp_path / "own/docs/notes.txt").write_text("about")
    known = describe(DataSection(dataset="own"), tmp_path)
    assert (known.names, known.samples) == (CLASSES, {"train": 60, "test": 16})
    trained(tmp_path, "own")


def test_folders_around_the_data_are_passed_and_named(tmp_path):
    drawings(tmp_path / "own/archive/data", 20)
    (tmp_path / "own/README.md").write_text("about")
    assert find("own", tmp_path).file == tmp_path / "own/archive/data"
    trained(tmp_path, "own", "test_split: 0.2")
    done = cnncli(tmp_path, "datasets", "check", "own")
    assert done.stdout.splitlines()[0] == "own/archive/data: 40 images, 2 classes"
    done = cnncli(tmp_path, "init", "--data", "own", "-o", "new.yaml")
    assert done.stdout.splitlines()[0] == "own/archive/data: 40 images, 2 classes"
    assert "  dataset: own/archive/data/ " in (tmp_path / "new.yaml").read_text()


def test_images_to_predict_beside_splits_are_left_out_and_named(tmp_path):
    drawings(tmp_path / "own/seg_train/seg_train", 30)
    drawings(tmp_path / "own/seg_test/seg_test", 8, seed=1)
    picture(tmp_path / "own/seg_pred/1.png")
    told = trained(tmp_path, "own")
    said = "'seg_pred' is left out, because it has no classes: predict its images with `cnncli predict`"
    assert f"notice: {tmp_path}/own: {said}\n" in told
    assert f"  {said}\n" in cnncli(tmp_path, "datasets", "check", "own").stdout


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["trainer", "driver"], {}),
        (["test tube", "flask"], {}),
        (["crash_test", "test_tube"], {}),
        (["Training", "Running"], {"train": "Training"}),
        (["train", "val"], {"train": "train", "validation": "val"}),
        (["dev", "eval"], {"validation": "dev", "test": "eval"}),
        (["train2017", "val2017"], {"train": "train2017", "validation": "val2017"}),
        (["TRAIN", "TEST", "VALIDATION"], {"train": "TRAIN", "test": "TEST", "validation": "VALIDATION"}),
    ],
)
def test_names_are_read_as_words(names, splits):
    assert split_names(names).splits == splits


def test_a_class_with_a_splits_name_among_others_stays_a_class(tmp_path):
    classes(tmp_path / "own", ("training", "running", "test tube"))
    assert describe(DataSection(dataset="own"), tmp_path).names == ("running", "test tube", "training")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["test_set", "cats"],
            "own: test_set is a split, not a class: all other folders must be splits, too; received 'cats'",
        ),
        (
            ["Training", "Testing", "cats"],
            "own: Testing and Training are splits, not classes: all other folders must be splits, too; received 'cats'",
        ),
        (["train", "training"], "own: each split must have one folder; received train and training"),
    ],
)
def test_splits_beside_something_else_are_asked_about(tmp_path, names, said):
    for name in names:
        classes(tmp_path / "own" / name)
    hint = "; if they are classes, set `layout: class_folders` under `data`"
    assert message(tmp_path / "own") == said + hint
    assert describe(DataSection(dataset="own", layout="class_folders"), tmp_path).names == tuple(sorted(names))


def test_folders_that_all_hold_the_same_folders_are_asked_about(tmp_path):
    for name in ("first", "second"):
        classes(tmp_path / "own" / name, size=(9, 9))
    assert message(tmp_path / "own") == (
        "own: its folders first, second all hold the folders cats, dogs and no image of their own: if they are splits, "
        "name them train, val and test; if they are the classes, set `layout: class_folders` under `data`"
    )
    found = load(DataSection(dataset="own", layout="class_folders"), tmp_path)
    assert (found.classes, len(found.train)) == (("first", "second"), 16)
    done = cnncli(tmp_path, "datasets", "check", "own", "--layout", "class_folders")
    assert done.stdout.splitlines()[1] == "  train: first 8, second 8"
    assert cnncli(tmp_path, "init", "--data", "own", "--layout", "class_folders").returncode == 0
    assert "  layout: class_folders" in (tmp_path / "own.yaml").read_text()


def test_one_folder_in_each_class_is_no_question(tmp_path):
    for name in ("cats", "dogs"):
        picture(tmp_path / "own" / name / "images/1.png")
    assert describe(DataSection(dataset="own"), tmp_path).names == ("cats", "dogs")
