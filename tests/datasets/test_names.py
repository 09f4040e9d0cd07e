"""Classes, and numbers, in the names of files: what is suggested, what is asked, and what is learned from it."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.describe import describe
from cnncli.datasets.layouts.name_classes import suggested
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import CnncliError
from cnncli.layers.declarations.validation_errors import ValidationError
from tests.cli.test_train import cnncli
from tests.datasets.photos import picture
from tests.datasets.test_layouts import CLASSES, drawing, message, trained


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE_DIR", str(tmp_path / "cache"))


def named(folder, form, count=30, seed=0, ending="png"):
    """A flat folder of pictures called by `form`, of a class and a number."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(count):
        for number, name in enumerate(CLASSES):
            Image.fromarray(drawing(number, generator)).save(folder / f"{form.format(name, i)}.{ending}")


FORMS = [
    ("{}.{}", r"(\D+)\.\d+"),
    ("{}_{:03}", r"(\D+)_\d+"),
    ("{} ({})", r"(\D+) \(\d+\)"),
    ("{1:03}-{0}", r"\d+-(\D+)"),
    ("IMG_{}_{}", r"IMG_(\D+)_\d+"),
    ("my pet-{}{}", r"my pet-(\D+)\d+"),
]


@pytest.mark.parametrize(("form", "pattern"), FORMS)
def test_a_flat_folder_is_answered_with_the_pattern_that_reads_its_names_and_is_trained_with_it(
    tmp_path, form, pattern
):
    named(tmp_path / "own", form)
    assert message(tmp_path / "own").splitlines()[:2] == [
        "own: 1 problem",
        f"  .: images lie in no folder of a class: their names tell classes (disk 30, frame 30): set `label_from: "
        f"'{pattern}'` under `data`, or put the images of each class into a folder",
    ]
    known = describe(DataSection(dataset="own", label_from=pattern), tmp_path)
    assert (known.names, known.samples) == (CLASSES, {"train": 60})
    trained(tmp_path, "own", f"validation_split: 0.1, test_split: 0.2, label_from: '{pattern}'")


def test_init_reads_the_names_and_its_spec_trains(tmp_path):
    named(tmp_path / "own", "{}.{}")
    done = cnncli(tmp_path, "init", "--data", "own")
    assert done.stdout.splitlines()[:3] == [
        "own: 60 images, 2 classes",
        "  classes are read from the names of files: disk 30, frame 30",
        "  classes: disk 30, frame 30",
    ]
    text = (tmp_path / "own.yaml").read_text()
    assert "  # classes are read from the names of files: disk 30, frame 30\n" in text
    assert r"  label_from: '(\D+)\.\d+'" + "\n" in text
    done = cnncli(tmp_path, "train", "own.yaml", "--epochs", 12, "--output", "run")
    assert done.returncode == 0, done.stderr
    test = next(line for line in done.stdout.splitlines() if line.startswith("test "))
    assert float(test.split("accuracy ")[1].split()[0]) >= 0.9, test
    done = cnncli(tmp_path, "datasets", "check", "own", "--label-from", r"(\w+)\.\d+")
    assert "  train: disk 30, frame 30\n" in done.stdout
    assert done.returncode == 0


def test_splits_have_names_of_classes_too_and_other_data_are_read_like_this(tmp_path):
    named(tmp_path / "own/train", "{}.{}", 30)
    named(tmp_path / "own/test", "{}.{}", 8, seed=1)
    assert "their names tell classes (disk 30, frame 30)" in message(tmp_path / "own")
    (tmp_path / "own/train/more").mkdir()
    picture(tmp_path / "own/train/more/disk.900.jpg")
    known = describe(DataSection(dataset="own", label_from=r"(\w+)\.\d+"), tmp_path)
    assert known.samples == {"train": 61, "test": 16}
    trained(tmp_path, "own", r"label_from: '(\w+)\.\d+'")
    named(tmp_path / "flat", "{}.{}", 4, seed=2)
    for name in CLASSES:
        (tmp_path / "folders" / name).mkdir(parents=True)
        for i, file in enumerate((tmp_path / "flat").glob(f"{name}.*")):
            (tmp_path / f"folders/{name}/{i}.png").write_bytes(file.read_bytes())
    shown = [cnncli(tmp_path, "evaluate", "run", "--data", place) for place in ("flat", "folders")]
    assert [done.returncode for done in shown] == [0, 0], shown
    assert "accuracy 1.0000" in shown[0].stdout
    assert shown[0].stdout.splitlines()[2:] == shown[1].stdout.splitlines()[2:]


def test_one_folder_of_named_pictures_is_answered_too(tmp_path):
    named(tmp_path / "own/images", "{}_{}", 3)
    assert message(tmp_path / "own").splitlines()[1] == (
        "  images: there must be at least two classes; this is the only one; their names tell classes (disk 3, frame "
        r"3): set `label_from: '(\D+)_\d+'` under `data`"
    )
    assert cnncli(tmp_path, "init", "--data", "own").returncode == 0
    assert r"label_from: '(\D+)_\d+'" in (tmp_path / "own.yaml").read_text()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["Abyssinian_100", "Abyssinian_1", "great_pyrenees_1", "great_pyrenees_2"], ["Abyssinian", "great_pyrenees"]),
        (["gato_1", "gato_2", "perrö_1", "perrö_2"], ["gato", "perrö"]),
        (["1_0_3_2016", "1_0_3_2017", "2_0_2_2016", "2_0_2_2017"], None),
        (["IMG_1", "IMG_2", "DSC_1", "DSC_2"], None),
        (["cat_1", "cat_2", "cat_3"], None),
        (["a_1", "b_1", "c_1", "d_1"], None),
        (["20210101_1", "20210101_2", "20210102_1", "20210102_2"], None),
        (["cat_1", "cat_2", "dog_1", "dog_2", "notes"], None),
        ([], None),
    ],
)
def test_only_names_that_surely_tell_classes_are_taken_for_them(names, found):
    suggestion = suggested([f"own/{name}.jpg" for name in names])
    assert (suggestion and sorted(suggestion.counts)) == found


def test_names_of_digits_alone_can_tell_no_class(tmp_path):
    for name in ("001", "002", "003"):
        picture(tmp_path / f"own/{name}.jpg")
    assert message(tmp_path / "own").splitlines()[1] == (
        "  .: images lie in no folder of a class: put the images of each class into a folder, or list them in a "
        "labels.csv"
    )


def test_names_that_do_not_surely_tell_classes_are_a_question(tmp_path):
    for name in ("1_0_3_2016", "1_1_2_2017", "30_0_1_2016", "41_1_0_2017"):
        picture(tmp_path / f"own/{name}.jpg")
    said = (
        "  .: images lie in no folder of a class: put the images of each class into a folder, or list them in a "
        "labels.csv; if their names tell the class, as 1_0_3_2016.jpg may, set `label_from` under `data` to a regular "
        r"expression whose group finds it, such as '(\d+)_' (with `targets: values` it is a number to predict)"
    )
    assert message(tmp_path / "own").splitlines()[1] == said
    done = cnncli(tmp_path, "init", "--data", "own")
    assert (done.returncode, done.stderr.splitlines()[1]) == (1, said)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(\w+", ": is not a regular expression: missing ), unterminated subpattern at position 0"),
        (r"\w+_\d+", ": must have one group, or one named label; it has 0"),
        (r"(\w+)_(\d+)", ": must have one group, or one named label; it has 2"),
        (r"(a+)+_", ": repeats what repeats itself or has alternatives, as in (a+)+, and may take forever"),
        (r"((?:a|b)*)_", ": repeats what repeats itself or has alternatives, as in (a+)+, and may take forever"),
        (3, " must be a regular expression with one group, or with one named label"),
    ],
)
def test_a_pattern_that_can_not_be_used_is_one_line(tmp_path, pattern, said):
    with pytest.raises(ValidationError, match=r"^label_from") as caught:
        DataSection(dataset="own", label_from=pattern)
    assert said in str(caught.value)
    picture(tmp_path / "own/cat_1.png")
    done = cnncli(tmp_path, "datasets", "check", "own", "--label-from", "(")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "error: --label-from '(': is not a regular expression: missing )" in done.stderr


def test_a_named_group_is_the_class_and_a_path_may_be_asked_for(tmp_path):
    for name in ("cat/a_1", "cat/b_2", "dog/a_1", "dog/b_2"):
        picture(tmp_path / f"own/train/{name}.png")
    for pattern, classes in (
        (r"(?P<label>\w)_(\d)", ("a", "b")),
        (r"(\w+)/\w+$", ("cat", "dog")),
        (r"(\d)", ("1", "2")),
    ):
        assert describe(DataSection(dataset="own", label_from=pattern), tmp_path).names == classes


def test_names_that_do_not_match_are_named_and_may_be_skipped(tmp_path):
    named(tmp_path / "own", "{}.{}", 3)
    picture(tmp_path / "own/other.png")
    (tmp_path / "own/notes.txt").write_text("")
    section = DataSection(dataset="own", label_from=r"(\w+)\.\d+")
    said = message(tmp_path / "own", label_from=r"(\w+)\.\d+").splitlines()
    assert said[0] == "own: 2 problems"
    assert r"  other.png: the name of an image must match label_from, (\w+)\.\d+" in said
    assert describe(section.replace(on_error="skip"), tmp_path).samples == {"train": 6}
    assert message(tmp_path / "own", label_from=r"(\w+)-\d+", on_error="skip").splitlines()[1] == (
        r"  .: label_from, (\w+)-\d+, matches the name of no image (endings such as .jpg are left out)"
    )


def test_a_class_for_each_image_and_a_single_class_are_told(tmp_path):
    named(tmp_path / "own", "{}.{}", 3)
    assert message(tmp_path / "own", label_from="(.*)").splitlines()[1] == (
        "  disk.0.png: label_from must find the same class in several names; it finds another in each of 6, such as "
        "disk.0, disk.1, disk.2"
    )
    assert message(tmp_path / "own", label_from=r"(\.)").splitlines()[1] == (
        "  .: there must be at least two classes; label_from finds only this one"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": "masks"}, "label_from requires class labels or numbers; remove it with `targets: masks`"),
        ({"layout": "class_folders"}, "label_from finds classes in names, layout takes them from folders"),
    ],
)
def test_what_does_not_go_with_it_is_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        DataSection(dataset="own", label_from="(a)", **options)
    with pytest.raises(CnncliError, match="label_from is only for folders of images; mnist5k is not one"):
        load(DataSection(dataset="mnist5k", label_from="(a)"), None)


VALUES = """\
data: {dataset: own, targets: values, label_from: '(?P<age>\\d+)_', validation_split: 0.1, test_split: 0.2}
model: {layers: [Flatten, Dense: {units: 1}]}
compile: {optimizer: {Adam: {learning_rate: 0.02}}, loss: mse, metrics: [mae]}
fit: {epochs: 40, batch_size: 8}
expect: {test_mean_absolute_error: "<= 3"}
"""


def test_numbers_in_names_are_values(tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "own").mkdir()
    for i in range(80):
        age = int(generator.integers(1, 60))
        pixels = np.full((6, 6, 3), 4 * age) + generator.integers(0, 9, (6, 6, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"own/{age}_{i % 2}_3_2016{i:03}.png")
    (tmp_path / "own.yaml").write_text(VALUES)
    done = cnncli(tmp_path, "train", "own.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "  age " in cnncli(tmp_path, "evaluate", "run").stdout
    picture(tmp_path / "own/x_0_3.png", size=(6, 6))
    assert message(tmp_path / "own", targets="values", label_from=r"(.+?)_").splitlines()[1] == (
        "  x_0_3.png: label_from must find a number; it finds 'x'"
    )
