"""Folders of images from the command line: check, train, evaluate, datasets check."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.sources.image_names import READ
from tests.cli.test_train import child_environment, cnncli
from tests.datasets.photos import classes, picture, table

SPEC = """
name: photos
data: {dataset: photos/, validation_split: 0.25, test_split: 0.25}
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, activation: relu}
    - GlobalAveragePooling2D
    - Dense: {units: 3, activation: softmax}
compile: {optimizer: {Adam: {learning_rate: 0.05}}, loss: categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 12, batch_size: 6}
expect: {test_accuracy: "== 1"}
"""
NAMES = ("blue", "green", "red")
LEAK = (
    "also appear in train, the same or nearly so: metrics on them are too optimistic; keep all images of a series or "
    "an object in one split"
)


def noise(root, names=NAMES, count=12):
    """A folder a class of pictures 10 × 12, each of noise and its class's colour."""
    generator = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 60, (10, 12, 3)).astype(np.uint8)
            pixels[..., ("red", "green", "blue").index(name)] += 150
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Decoded images go into a folder of the tests'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNCLI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with pictures, a spec and its run."""
    path = tmp_path_factory.mktemp("folders")
    noise(path / "photos")
    (path / "photos.yaml").write_text(SPEC)
    done = cnncli(path, "train", "photos.yaml")
    assert done.returncode == 0, done.stderr  # the spec expects a perfect test
    (path / "said").write_text(done.stdout)
    return path


def run_of(folder):
    return next(path for path in (folder / "runs/photos").iterdir() if not path.is_symlink())


def test_a_folder_of_36_pictures_is_trained_on_and_tested(folder):
    first, *_, test, _, _ = (folder / "said").read_text().splitlines()
    assert "18 training, 9 validation, 9 test (photos)" in first
    assert re.match(r"test  loss 0\.\d+  accuracy 1\.0000", test)


def test_the_run_lists_the_files_of_each_split(folder):
    splits = json.loads((run_of(folder) / "splits.json").read_text())
    files = {name: splits[name]["files"] for name in ("train", "validation", "test")}
    for part, of_class in (("train", 6), ("validation", 3), ("test", 3)):
        assert [sum(file.startswith(f"{name}/") for file in files[part]) for name in NAMES] == [of_class] * 3
    assert len({file for part in files.values() for file in part}) == 36


def test_evaluate_finds_the_same_test_images_and_names_the_classes(folder):
    document = json.loads(cnncli(folder, "evaluate", "--json").stdout)
    assert (document["split"], document["samples"], document["accuracy"]) == ("test", 9, 1)
    assert [row["name"] for row in document["classes"]] == list(NAMES)


def test_evaluate_takes_another_folder_of_the_same_classes(folder):
    noise(folder / "more" / "test", count=5)
    document = json.loads(cnncli(folder, "evaluate", "--data", "more", "--json").stdout)
    assert (document["samples"], document["accuracy"]) == (15, 1)
    noise(folder / "fewer", NAMES[1:], 5)
    done = cnncli(folder, "evaluate", "--data", "fewer", "--json")
    assert done.stderr.endswith("warning: no test image shows class blue; metrics tell nothing about it\n")
    document = json.loads(done.stdout)
    assert (document["samples"], document["accuracy"], document["roc_auc"]) == (10, 1, 1)
    assert [row["name"] for row in document["classes"]] == list(NAMES)
    assert document["confusion"] == [[0, 0, 0], [0, 5, 0], [0, 0, 5]]
    (folder / "fewer/red").rename(folder / "fewer/grey")
    done = cnncli(folder, "evaluate", "--data", "fewer")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "fewer: the classes must be those that the model was trained on, blue, green, red; received green, grey\n"
    )


def test_the_misclassified_are_named_by_their_files(folder):
    shutil.copytree(folder / "more", folder / "wrong")
    (folder / "wrong/test/red/0.png").rename(folder / "wrong/test/blue/misplaced.png")
    cnncli(folder, "evaluate", "--data", "wrong")
    lines = (run_of(folder) / "misclassified.csv").read_text().splitlines()
    assert lines[0] == "index,label,predicted,probability,file"
    assert len(lines) == 2
    assert ",blue,red," in lines[1]
    assert lines[1].endswith(",test/blue/misplaced.png")


def test_a_resumed_run_goes_on_with_the_same_splits(folder):
    done = cnncli(folder, "train", "--resume", run_of(folder), "--epochs", 13, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["epoch"] == 13


@pytest.mark.parametrize("size", ["", ", image_size: [9, 9]"])
def test_check_and_summary_need_neither_numpy_nor_numba(folder, size):
    (folder / "sized.yaml").write_text(SPEC.replace("photos/,", f"photos/{size},"))
    for arguments in (["check", "sized.yaml"], ["summary", "sized.yaml"]):
        code = (
            f"import sys\nfrom cnncli.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit as end:\n"
            "    print('EXIT', end.code)\n"
            "print('LOADED', sorted({'numpy', 'numba', 'llvmlite'} & sys.modules.keys()), 'PIL' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=child_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.endswith(f"EXIT 0\nLOADED [] {not size}\n"), done.stdout + done.stderr


def test_check_says_where_a_share_is_wrong(folder):
    done = cnncli(folder, "check", "photos.yaml", "--set", "data.test_split=0.7")
    assert done.returncode == 2
    assert "training images must show every class; train has none of 'blue' (12 in total)" in done.stderr


def test_several_classes_need_a_sigmoid_for_each_and_are_then_trained(tmp_path):
    text = "file,early,late\n" + "".join(f"{name}.png,{int(name < 'd')},{int(name > 'b')}\n" for name in "abcdef")
    table(tmp_path / "photos", text)
    wrong = SPEC.partition("fit:")[0].replace("units: 3", "units: 2").replace(", test_split: 0.25", "")
    (tmp_path / "wrong.yaml").write_text(wrong)
    done = cnncli(tmp_path, "check", "wrong.yaml")
    assert "requires a sigmoid and binary_crossentropy; received categorical_crossentropy and softmax" in done.stderr
    assert "accuracy requires one class per image, but this data is multi-label: use binary_accuracy" in done.stderr
    right = wrong.replace("softmax", "sigmoid").replace("categorical", "binary").replace("accuracy", "binary_accuracy")
    (tmp_path / "right.yaml").write_text(right)
    assert cnncli(tmp_path, "check", "right.yaml").returncode == 0
    done = cnncli(tmp_path, "train", "right.yaml", "--json", "--output", "run")
    assert done.returncode == 0, done.stderr
    assert {"val_loss", "val_binary_accuracy"} <= set(json.loads(done.stdout.splitlines()[0]))


def test_skipped_files_are_told_and_kept_in_the_run(tmp_path):
    noise(tmp_path / "spoilt")
    (tmp_path / "spoilt/red/3.png").write_text("no image")
    (tmp_path / "spoilt.yaml").write_text(SPEC.partition("expect")[0].replace("photos/", "spoilt"))
    spoilt = ["train", "spoilt.yaml", "--epochs", 0]
    said = f"red/3.png: an image must be {READ}; its content is not a supported image"
    done = cnncli(tmp_path, *spoilt)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1] == f"  {said}"
    done = cnncli(tmp_path, *spoilt, "--set", "data.on_error=skip", "--output", "left")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"warning: 1 file skipped:\n  {said}\n"
    assert "17 training, 9 validation, 9 test (spoilt)" in done.stdout
    assert list(json.loads((tmp_path / "left/splits.json").read_text())["skipped"]) == ["red/3.png"]


def test_datasets_check_reports_counts_sizes_duplicates_and_problems(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        classes(tmp_path / "data" / split, count=count)
    picture(tmp_path / "data/train/cats/large.png", size=(9, 8), colour=(9, 9, 9))
    shutil.copy(tmp_path / "data/train/cats/large.png", tmp_path / "data/train/dogs/same.png")
    (tmp_path / "data/test/cats/x.svg").write_text("")
    (tmp_path / "data/train/dogs/02.png").write_text("text")
    done = cnncli(tmp_path, "datasets", "check", "data")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "data: 11 images, 2 classes",
        "  11 images are of one colour: test/cats/00.png, test/cats/01.png, test/dogs/00.png, …",
        "  train: cats 4, dogs 3",
        "  test: cats 2, dogs 2",
        "sizes (height × width): 6 × 4 (9), 9 × 8 (2)",
        "images with the same bytes: 5, 4 of them in several splits",
        "  test/cats/00.png = train/cats/00.png",
        "  test/cats/01.png = train/cats/01.png",
        "  test/dogs/00.png = train/dogs/00.png",
        "  test/dogs/01.png = train/dogs/01.png",
        "  train/cats/large.png = train/dogs/same.png",
        f"4 of 4 test images (100%) {LEAK}",
        "problems: 2",
        "  test/cats/x.svg: an image must be PNG, JPEG, BMP, GIF, PNM, WebP, TIFF, AVIF or JPEG 2000; received .svg",
        f"  train/dogs/02.png: an image must be {READ}; its content is not a supported image",
    ]
    document = json.loads(cnncli(tmp_path, "datasets", "check", "data", "--json").stdout)
    assert document["images"] == 11
    assert document["counts"] == {"train": {"cats": 4, "dogs": 3}, "test": {"cats": 2, "dogs": 2}}
    assert document["duplicates"][-1] == {
        "files": ["train/cats/large.png", "train/dogs/same.png"],
        "across_splits": False,
    }


def test_datasets_check_is_content_with_a_good_folder_and_refuses_what_is_none(tmp_path):
    classes(tmp_path / "data")
    assert cnncli(tmp_path, "datasets", "check", "data").returncode == 0
    for name, said in (
        ("dta", "unknown dataset 'dta'; did you mean 'data'?"),
        ("data/cats/00.png", "a dataset must be"),
    ):
        done = cnncli(tmp_path, "datasets", "check", name)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {said}")


def test_datasets_check_finds_duplicates_in_arrays(tmp_path):
    images = np.arange(6, dtype=np.uint8)[:, None, None].repeat(2, axis=1).repeat(3, axis=2)
    images[4] = images[1]
    labels = np.array([0, 1, 2, 0, 1, 0])
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    done = cnncli(tmp_path, "datasets", "check", "own.npz")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith("own.npz: 7 images, 3 classes")
    assert done.stdout.splitlines()[1:] == [
        "  train: 0 3, 1 2, 2 1",
        "  test: 0 1, 1 0, 2 0",
        "sizes (height × width): 2 × 3 (7)",
        "values: train 0 to 5, test 0 to 0",
        "images with the same bytes: 2, 1 of them in several splits",
        "  x_train[0] = x_test[0]",
        "  x_train[1] = x_train[4]",
        f"1 of 1 test images (100%) {LEAK}",
        "no test image shows classes 1, 2",
    ]


@pytest.mark.parametrize("source", ["npy", "npy/x_test.npy", "csv", "csv/train.csv", "idx"])
def test_datasets_check_looks_through_arrays_of_every_format(tmp_path, source):
    images, labels = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2), np.array([0, 1, 1, 0, 1], np.uint8)
    for name in ("npy", "csv", "idx"):
        (tmp_path / name).mkdir()
    for split, rows in (("train", slice(0, 5)), ("test", slice(1, 2))):
        x, y = images[rows], labels[rows]
        np.save(tmp_path / f"npy/x_{split}.npy", x)
        np.save(tmp_path / f"npy/y_{split}.npy", y)
        table = np.column_stack([y, x.reshape(len(x), 4)])
        np.savetxt(tmp_path / f"csv/{split}.csv", table, "%d", ",")
        for what, array in (("images-idx3", x), ("labels-idx1", y)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (tmp_path / f"idx/{split}-{what}-ubyte").write_bytes(head + array.tobytes())
    done = cnncli(tmp_path, "datasets", "check", source)
    headless = [
        "  train.csv has no header: the first of its 5 columns is taken for the class (`label_column` under `data` "
        "names another)"
    ] * source.startswith("csv")
    assert done.stdout.splitlines() == [
        f"{tmp_path / source}: 6 images, 2 classes",
        *headless,
        "  train: 0 2, 1 3",
        "  test: 0 0, 1 1",
        "sizes (height × width): 2 × 2 (6)",
        "values: train 0 to 19, test 4 to 7",
        "images with the same bytes: 1, 1 of them in several splits",
        "  x_train[1] = x_test[0]",
        f"1 of 1 test images (100%) {LEAK}",
        "no test image shows class 0",
    ]


def test_datasets_check_needs_no_shape_of_a_tables_rows(tmp_path):
    (tmp_path / "own.csv").write_text("0,1,5\n1,3,4\n1,1,5\n")
    done = cnncli(tmp_path, "datasets", "check", "own.csv")
    assert done.stdout.splitlines()[1:] == [
        "  own.csv has no header: the first of its 3 columns is taken for the class (`label_column` under `data` names "
        "another)",
        "  train: 0 1, 1 2",
        "sizes (height × width): 1 × 2 (3)",
        "values: train 1 to 5",
        "images with the same bytes: 1, 0 of them in several splits",
        "  x_train[0] = x_train[2]",
    ]


def test_training_tells_of_images_that_are_in_several_splits(tmp_path):
    for split in ("train", "test"):
        noise(tmp_path / "photos" / split, count=2)
        for name in NAMES:
            picture(tmp_path / "photos" / split / name / "own.png", size=(12, 10), colour=(len(split), 0, 9))
    spec = SPEC.replace("validation_split: 0.25, test_split: 0.25", "image_size: [10, 12]")
    (tmp_path / "photos.yaml").write_text(spec.replace("== 1", ">= 0"))
    done = cnncli(tmp_path, "train", "photos.yaml", "--epochs", "1", "--output", "run")
    assert done.returncode == 0, done.stderr
    assert "6 images in more than one split, with equal pixels at the model's size:" in done.stderr
    assert "  train train/blue/0.png = test test/blue/0.png" in done.stderr
    kept = json.loads((tmp_path / "run" / "splits.json").read_text())["in_several_splits"]
    assert ["train train/red/1.png", "test test/red/1.png"] in kept
