"""What `datasets check` finds in folders and arrays."""

import json
from statistics import fmean, quantiles

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.dataset import Dataset, Split
from cnncli.datasets.describe import find
from cnncli.datasets.inspect.inspect_arrays import inspect_arrays
from cnncli.datasets.inspect.inspect_folder import inspect_folder
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.image_names import READ
from cnncli.report.tables.inspection import inspection_lines
from tests.cli.test_train import cnncli
from tests.datasets.lookalikes import brightened, photograph, reencoded, resized, shifted, track
from tests.datasets.photos import classes, picture


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def inspected(root, image_size=None, **keys):
    data = DataSection(dataset=str(root), image_size=image_size, **keys)
    return inspect_folder(find(data, root), "photos", data)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Different photographs, and of three of them other versions, some in another split."""
    root, generator = tmp_path_factory.mktemp("look") / "photos", np.random.default_rng(1)
    made = {}
    for split, count in (("train", 8), ("val", 3)):
        for name in ("cats", "dogs"):
            for number in range(count):
                made[f"{split}/{name}/{number}.png"] = photograph(generator)
    for file, pixels in made.items():
        write(root / file, pixels)
    (root / "train/dogs/copy.png").write_bytes((root / "train/cats/0.png").read_bytes())
    write(root / "val/cats/same.bmp", made["train/cats/1.png"])
    write(root / "val/cats/small.png", resized(made["train/cats/2.png"], 72))
    write(root / "train/dogs/bright.png", brightened(made["train/dogs/3.png"], 25))
    write(root / "val/dogs/shifted.png", shifted(made["train/dogs/3.png"]))
    write(root / "train/dogs/compressed.png", reencoded(made["train/dogs/4.png"]))
    return root


def test_each_kind_of_resemblance_is_told(photos):
    found = inspected(photos)
    assert found.alike.same_bytes == [["train/cats/0.png", "train/dogs/copy.png"]]
    assert found.alike.same_pixels == [["train/cats/1.png", "val/cats/same.bmp"]]
    assert found.alike.resized == [["train/cats/2.png", "val/cats/small.png"]]
    assert found.alike.near == [
        ["train/dogs/3.png", "train/dogs/bright.png", "val/dogs/shifted.png"],
        ["train/dogs/4.png", "train/dogs/compressed.png"],
    ]
    assert found.problems == []
    assert (found.among("validation", "train"), found.size("validation")) == (3, 9)
    lines = list(inspection_lines(found))
    assert "images that differ only in size: 1, 1 of them in several splits" in lines
    assert "  train/cats/2.png ≈ val/cats/small.png" in lines
    assert any(line.startswith("3 of 9 validation images (33%) also appear in train") for line in lines)


def test_pixels_are_compared_at_a_models_size(tmp_path):
    pixels = photograph(np.random.default_rng(2), 32)
    write(tmp_path / "photos/a/1.png", pixels)
    write(tmp_path / "photos/b/2.png", pixels.repeat(2, 0).repeat(2, 1))
    write(tmp_path / "photos/b/3.png", photograph(np.random.default_rng(3), 32))
    assert inspected(tmp_path / "photos").alike.same_pixels == []
    assert inspected(tmp_path / "photos", (16, 16)).alike.same_pixels == [["a/1.png", "b/2.png"]]
    done = cnncli(tmp_path, "datasets", "check", "photos", "--image-size", "16", "16")
    assert "images with the same pixels at 16 × 16, in different files: 1, 0 of them in several splits" in done.stdout
    done = cnncli(tmp_path, "datasets", "check", "mnist5k", "--image-size", "16", "16")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --image-size is for folders of images; mnist5k is not one\n",
    )


def test_series_that_validation_split_would_divide_are_told(tmp_path):
    generator = np.random.default_rng(4)
    for name in ("stop", "yield"):
        for number in range(4):
            for frame, pixels in enumerate(track(generator, 6)):
                write(tmp_path / f"signs/{name}/{number}_{frame}.png", pixels)
    found = inspected(tmp_path / "signs")
    assert found.alike.near == [
        [f"{name}/{n}_{f}.png" for f in range(6)] for name in ("stop", "yield") for n in range(4)
    ]
    assert list(inspection_lines(found))[-1].startswith(
        "48 of 48 training images (100%) resemble another one: validation_split would put such images into both splits"
    )


def test_arrays_are_looked_through_in_any_type(tmp_path):
    generator = np.random.default_rng(5)
    train = np.stack([photograph(generator, 40) for _ in range(6)])
    test = np.stack([photograph(generator, 40), brightened(train[2], 20)])
    for x_train, x_test in (
        (train, test),
        (train / np.float32(255), test / np.float32(255)),
        (train[..., :1], test[..., :1]),
    ):
        parts = [
            Split(x, np.zeros(len(x), np.int64), "own", name) for x, name in ((x_train, "x_train"), (x_test, "x_test"))
        ]
        found = inspect_arrays(Dataset("own", parts[0], None, parts[1], ("a", "b"), ""))
        assert found.alike.near == [["x_train[2]", "x_test[1]"]]
        assert found.counts == {"train": {"a": 6, "b": 0}, "test": {"a": 2, "b": 0}}


def test_masks_are_recognized_and_their_classes_counted(tmp_path):
    generator = np.random.default_rng(6)
    for split, count in (("train", 3), ("val", 1)):
        for number in range(count):
            write(tmp_path / f"cells/{split}/images/{number}.png", photograph(generator, 20))
            mask = np.zeros((20, 20), np.uint8)
            mask[:5], mask[5:6] = 2, 7
            write(tmp_path / f"cells/{split}/masks/{number}.png", mask)
    done = cnncli(tmp_path, "datasets", "check", "cells")
    assert done.returncode == 0
    assert done.stdout == cnncli(tmp_path, "datasets", "check", "cells", "--masks").stdout
    assert done.stdout.splitlines() == [
        "cells: 4 images with masks",
        "  train: 3",
        "  validation: 1",
        "sizes (height × width): 20 × 20 (4)",
        "classes of pixels:",
        "  train: 0 70 %, 2 25 %, 7 5 %",
        "  validation: 0 70 %, 2 25 %, 7 5 %",
    ]
    document = json.loads(cnncli(tmp_path, "datasets", "check", "cells", "--json").stdout)
    assert document["mask_pixels"]["train"] == {"0": 840, "2": 300, "7": 60}


def test_black_and_white_masks_have_the_classes_0_and_1(tmp_path):
    for number in range(2):
        write(tmp_path / f"cells/images/{number}.png", photograph(np.random.default_rng(number), 20))
        write(
            tmp_path / f"cells/masks/{number}.png",
            np.repeat(np.array([[0], [255]], np.uint8), [15, 5], 0).repeat(20, 1),
        )
    done = cnncli(tmp_path, "datasets", "check", "cells")
    assert "  train: 0 75 %, 1 25 %" in done.stdout.splitlines()


def test_masks_in_arrays_are_recognized(tmp_path):
    x = np.random.default_rng(7).integers(0, 256, (4, 10, 10, 1)).astype(np.uint8)
    y = np.zeros((4, 10, 10), np.uint8)
    y[:, :2] = 3
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y)
    done = cnncli(tmp_path, "datasets", "check", "own.npz")
    assert done.stdout.splitlines()[0].endswith("own.npz: 4 images with masks")
    assert "  train: 0 80 %, 3 20 %" in done.stdout.splitlines()


def test_one_cause_of_many_problems_is_told_once(tmp_path):
    classes(tmp_path / "some", count=2)
    for number in range(30):
        (tmp_path / f"some/cats/{number}.psd").write_text("")
    (tmp_path / "some/dogs/text.png").write_text("text")
    done = cnncli(tmp_path, "datasets", "check", "some")
    assert done.stdout.splitlines()[-3:] == [
        "problems: 31",
        f"  30 files, such as cats/0.psd: an image must be {READ}; received .psd",
        f"  dogs/text.png: an image must be {READ}; its content is not a supported image",
    ]
    assert len(json.loads(cnncli(tmp_path, "datasets", "check", "some", "--json").stdout)["problems"]) == 31


def test_one_cause_of_all_problems_is_said_of_all_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            (tmp_path / f"photos/{name}/{number}.psd").write_text("")
    done = cnncli(tmp_path, "datasets", "check", "photos")
    assert done.returncode == 1
    said = f"  all 40 files, such as a/0.psd: an image must be {READ}; received .psd"
    assert said in done.stdout.splitlines()
    assert len(done.stdout.splitlines()) <= 6


def test_counts_by_class_add_up_to_the_number_of_images(tmp_path):
    classes(tmp_path / "photos", count=3)
    (tmp_path / "photos/cats/broken.png").write_text("text")
    found = inspected(tmp_path / "photos")
    assert found.counts == {"train": {"cats": 3, "dogs": 3}}
    assert found.images == 6


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_contact_sheet_shows_classes_and_what_is_alike(photos, suffix):
    folder = photos.parent
    done = cnncli(folder, "datasets", "check", "photos", "-o", f"sheet.{suffix}")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"contact sheet: sheet.{suffix}")
    if suffix == "png":
        assert Image.open(folder / "sheet.png").size > (1000, 1000)
        return
    drawn = (folder / "sheet.svg").read_text()
    assert drawn.count("<image ") == 2 * 8 + 2 * 5
    for text in ("cats: 13 images", "dogs: 15 images", "Images that resemble each other: 5 groups", "nearly the same"):
        assert text in drawn


def test_contact_sheets_of_masks_arrays_and_images_without_classes(tmp_path):
    for number in range(3):
        write(tmp_path / f"cells/images/{number}.png", photograph(np.random.default_rng(number), 20))
        write(tmp_path / f"cells/masks/{number}.png", np.full((20, 20), 200, np.uint8))
        picture(tmp_path / f"plain/{number}.png", size=(20, 30))
    for source, options, images in (("cells", (), 3), ("plain", ("--unlabelled",), 5), ("mnist5k", (), 82)):
        done = cnncli(tmp_path, "datasets", "check", source, *options, "-o", "sheet.svg")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "sheet.svg").read_text().count("<image ") == images


def test_the_picture_is_refused_before_anything_is_read(tmp_path):
    done = cnncli(tmp_path, "datasets", "check", "mnist5k", "-o", "sheet.jpg")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: pictures are written as .svg or .png; received 'sheet.jpg'\n"


def test_masks_beside_images_are_recognized_unless_there_are_classes(tmp_path):
    for number in range(2):
        for folder in ("flat", "classes/a", "classes/b"):
            write(tmp_path / folder / f"{number}.png", photograph(np.random.default_rng(number), 20))
            write(tmp_path / folder / f"{number}_mask.png", np.full((20, 20), number, np.uint8))
    assert cnncli(tmp_path, "datasets", "check", "flat").stdout.splitlines()[0] == "flat: 2 images with masks"
    assert cnncli(tmp_path, "datasets", "check", "classes").stdout.splitlines()[0] == "classes: 4 images, 2 classes"


def test_a_source_without_images_has_no_contact_sheet(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "x.png").write_text("text")
    done = cnncli(tmp_path, "datasets", "check", "photos", "-o", "sheet.svg")
    assert (done.returncode, done.stderr) == (1, "error: photos: there are no images to draw\n")
    assert "problems: 2" in done.stdout


def test_of_many_classes_the_first_are_drawn(tmp_path):
    for number in range(41):
        picture(tmp_path / f"photos/{number:02}/x.png", size=(9, 9), colour=(number, 9, 9))
    assert cnncli(tmp_path, "datasets", "check", "photos", "-o", "sheet.svg").returncode == 0
    drawn = (tmp_path / "sheet.svg").read_text()
    assert drawn.count("<image ") == 40
    assert "39: 1 image" in drawn
    assert "The first 40 of 41 classes." in drawn


NAMED = {
    r"(.*)_\d+": "{label}/{series:05}_{frame:05}.png",
    r"(.*)-\d+": "{label}/clip{series}-{frame}.png",
    r"(.*) \(?\d+\)?\.": "{label}/cup {series} ({frame}).png",
    r"(.*?)\d+\.[^.]*$": "{label}/{letter}frame{frame:03}.png",
    r"(.*)/": "{label}/video{series}/{frame}.png",
    r"(.*?)_[^/]*$": "{label}/p{series}_{word}.png",
    r"([^/]*?)_[^/]*$": "{series_label}/p{series}_{word}.png",
}
WORDS = ("left", "right", "top", "back")


@pytest.mark.parametrize("pattern", NAMED)
def test_a_pattern_is_proposed_that_keeps_series_together(tmp_path, pattern):
    """Each series of four resembles itself; where its images have several classes, these are no part of the group."""
    generator = np.random.default_rng(6)
    for series in range(6):
        for frame, pixels in enumerate(track(generator, 4)):
            names = {"letter": "abcdef"[series], "word": WORDS[frame], "series_label": "ab"[frame % 2]}
            file = NAMED[pattern].format(label="ab"[series % 2], series=series, frame=frame, **names)
            write(tmp_path / "own" / file, pixels)
    found = inspected(tmp_path / "own")
    assert found.grouping == (pattern, 6)
    divided = inspected(tmp_path / "own", group_by=pattern, validation_split=0.3)
    assert divided.problems == []
    assert divided.groups == {"train": 4, "validation": 2}
    assert divided.among("validation", "train") == 0


def test_no_pattern_is_proposed_where_none_keeps_series_together(tmp_path):
    generator, number = np.random.default_rng(7), 0
    for _ in range(6):
        for pixels in track(generator, 4):
            write(tmp_path / "own" / "ab"[number % 2] / f"{number:04}.png", pixels)
            number += 1
    found = inspected(tmp_path / "own")
    assert found.grouping is None
    assert list(inspection_lines(found))[-1].endswith(
        "divide them into train and val yourself, with all images of a series or an object in one of them, or tell by "
        "`group_by` under `data` which are of one"
    )


def of_numbers(root, header, cells, count=9):
    """Images with a table of so many rows."""
    for i in range(count):
        picture(root / f"{i}.png", colour=(4 * i, 3, 7))
    (root / "labels.csv").write_text("\n".join([header, *(f"{i}.png,{cells(i)}" for i in range(count))]))
    return root


def test_numbers_are_recognized_and_each_value_is_described(tmp_path):
    ages = [(7 * i) % 9 + 0.5 for i in range(9)]
    of_numbers(tmp_path / "people", "file,age,lens", lambda i: f"{ages[i]},35")
    done = cnncli(tmp_path, "datasets", "check", "people")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "people: 9 images with numbers"
    assert done.stdout.splitlines()[-3:] == [
        "numbers:",
        "  age: 0.5 to 8.5, mean 4.5, quartiles 2.5, 4.5, 6.5",
        "  lens: 35 of all images: there is nothing to predict",
    ]
    stats = json.loads(cnncli(tmp_path, "datasets", "check", "people", "--json").stdout)["numbers"]["age"]
    assert stats["quartiles"] == quantiles(ages, method="inclusive")
    assert (stats["least"], stats["greatest"], stats["mean"]) == (min(ages), max(ages), fmean(ages))


def test_cells_of_a_table_of_numbers_that_are_missing_are_told_once(tmp_path):
    of_numbers(tmp_path / "people", "file,age", lambda i: f"{i}.5" if i % 2 else "", count=60)
    done = cnncli(tmp_path, "datasets", "check", "people")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == [
        "problems: 30",
        "  30 rows, such as labels.csv:2: column 'age' must be a number; it is empty",
    ]
    assert "  age: 1.5 to 59.5, mean 30.5, quartiles 16, 30.5, 45" in done.stdout


def test_numbers_of_arrays_are_described_too(tmp_path):
    y = np.random.default_rng(8).normal(size=(12, 2))
    np.savez(tmp_path / "own.npz", x_train=np.arange(12 * 16, dtype=np.uint8).reshape(12, 4, 4), y_train=y)
    found = json.loads(cnncli(tmp_path, "datasets", "check", "own.npz", "--json").stdout)["numbers"]
    assert [stats["mean"] for stats in found.values()] == pytest.approx(y.mean(axis=0).tolist(), rel=1e-6)
    assert found["1"]["quartiles"] == pytest.approx(quantiles(y[:, 1].tolist(), method="inclusive"), rel=1e-6)
