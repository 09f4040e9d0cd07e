import hashlib
import time

import numpy as np
import pytest

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.shapes import BACKGROUNDS, SHAPES, class_names, draw
from cnncli.datasets.sources.synthetic import Synthetic
from cnncli.errors import DeclarationError
from cnncli.layers.declarations.validation_errors import ValidationError


def images(split="train", **arguments):
    """The images of a small dataset, and their class numbers."""
    return draw(Synthetic(**{"image_shape": [16, 16, 3], "train": 100, "test": 20} | arguments), split)


@pytest.mark.parametrize(
    ("shape", "classes", "digest"),
    [
        ([32, 32, 3], 10, "c619c0260a32e600"),
        ([28, 28, 1], 100, "d3afbbef2e53cedc"),
        ([9, 31, 2], 1600, "592b4320d1684e41"),
    ],
)
def test_the_same_seed_gives_the_same_bits_on_every_machine_and_with_every_numpy(shape, classes, digest):
    x, y = draw(Synthetic(image_shape=shape, classes=classes, train=1700, seed=5), "train")
    assert (x.dtype, y.dtype, x.shape) == (np.uint8, np.int64, (1700, *shape))
    assert hashlib.sha256(x.data).hexdigest()[:16] == digest
    assert np.array_equal(y, np.arange(1700) % classes)


def test_an_image_depends_neither_on_how_many_are_drawn_nor_on_the_portions_they_are_drawn_in(monkeypatch):
    x, _ = images(train=50)
    assert np.array_equal(images(train=300)[0][:50], x)
    monkeypatch.setattr("cnncli.datasets.sources.shapes.PORTION", 256 * 7)
    assert np.array_equal(images(train=50)[0], x)


def test_seeds_and_splits_give_other_images():
    drawn = [images(), images(seed=1), images(seed=2**63 - 1), images("test", test=100)]
    assert len({x.tobytes() for x, _ in drawn}) == 4
    for x, _ in drawn:
        assert len({image.tobytes() for image in x}) == 100


def test_every_shape_can_be_seen_and_lies_in_the_image():
    """Without noise an image has two colours: the shape's is the one that the four corners do not have."""
    for size in (8, 32):
        x, y = draw(Synthetic(image_shape=[size, size, 1], train=400, seed=3), "train")
        for label, name in enumerate(SHAPES):
            of_class = x[y == label].astype(np.float64)
            corners = of_class[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
            apart = np.abs(of_class[..., 0] - np.median(corners, axis=1)[:, None, None]) > 48
            share = apart.mean(axis=(1, 2))
            assert 0.02 < np.median(share) < 0.5, name


def test_one_more_digit_of_a_class_is_another_background_or_edge():
    names = class_names(1600)
    assert len(set(names)) == 1600
    assert names[:2] == ("disc", "square")
    assert (names[14], names[194]) == ("ring on rows", "ring on wide rising stripes, top edge")
    assert names[1599] == "saltire on wide rising stripes, top and right and bottom and left edges"
    row, column = np.ogrid[:12, :12]
    patterns = {background(row, column).tobytes() for background in BACKGROUNDS.values()}
    assert len(patterns) == len(BACKGROUNDS)
    x, _ = images(classes=1600, train=1600, image_shape=[32, 32, 1])
    top, middle = x[:, 0].astype(float).mean(axis=(1, 2)), x[:, 1:6].astype(float).mean(axis=(1, 2, 3))
    marked = np.arange(1600) // 100 % 2 == 1
    apart = np.abs(top - middle)
    assert np.median(apart[marked]) > 60
    assert np.median(apart[~marked]) < 20


def test_no_line_through_the_pixels_tells_the_classes_apart():
    """Least squares on the pixels, the best linear guess, stays far below what a small network learns."""
    x, y = images(train=2000, test=500, image_shape=[16, 16, 1])
    held, truth = images("test", train=2000, test=500, image_shape=[16, 16, 1])

    def rows(x):
        return np.hstack([x.reshape(len(x), -1) / 255.0 - 0.5, np.ones((len(x), 1))])

    weights = np.linalg.lstsq(rows(x), np.eye(10)[y], rcond=None)[0]
    assert ((rows(held) @ weights).argmax(1) == truth).mean() < 0.35


def test_five_thousand_images_are_made_in_well_under_a_second():
    dataset = Synthetic(image_shape=[32, 32, 3], train=5000)
    seconds = []
    for _ in range(3):
        start = time.process_time()  # other processes do not count
        draw(dataset, "train")
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.9


def test_it_is_described_without_being_made_and_follows_the_models_input(tmp_path):
    data = DataSection(dataset="synthetic", validation_split=0.25)
    assert describe(data, tmp_path).input_shape == (32, 32, 3)
    found = describe(data, tmp_path, (16, 8, 1))
    assert (found.input_shape, found.classes, found.dtype) == ((16, 8, 1), 10, "uint8")
    assert found.samples == {"train": 3000, "validation": 1000, "test": 1000}
    assert found.source == Synthetic(image_shape=[16, 8, 1])
    assert describe(data.replace(targets="input"), tmp_path).classes is None
    own = DataSection(dataset={"synthetic": {"image_shape": [9, 9, 2], "classes": 12, "test": 0}})
    assert describe(own, tmp_path, (16, 8, 1)).input_shape == (9, 9, 2)
    assert describe(own, tmp_path).samples == {"train": 4000}


def test_what_is_loaded_is_what_was_described(tmp_path):
    data = DataSection(
        dataset={"synthetic": {"image_shape": [9, 9, 2], "classes": 12, "train": 60, "test": 30}},
        validation_split=0.2,
    )
    made, described = load(data, tmp_path), describe(data, tmp_path)
    assert {name: len(split) for name, split in made.splits.items()} == described.samples
    assert made.train.x.shape[1:] == described.input_shape
    assert len(made.classes) == described.classes
    assert (made.source, made.validation.key, made.validation.start) == ("synthetic", "x_train", 48)
    assert load(data.replace(validation_split=0.0), tmp_path).digest == made.digest
    other = data.replace(dataset={"synthetic": {**data.dataset.plain(), "seed": 1}})
    assert load(other, tmp_path).digest != made.digest


def test_the_target_may_be_the_image_itself(tmp_path):
    made = load(DataSection(dataset={"synthetic": {"train": 10}}, targets="input"), tmp_path)
    assert made.train.y is None
    assert made.classes == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "classes must be an integer from 2 to 1600"),
        ({"image_shape": [7, 32, 3]}, "with a height and width of 8 to 4,096 and 1 to 1,024 channels"),
        ({"image_shape": [32, 32]}, "image_shape must be [height, width, channels]"),
        ({"train": 0}, "train must be an integer ≥ 1"),
        (
            {"image_shape": [4096, 4096, 4], "train": 300, "test": 0},
            "synthetic images must take at most 17,179,869,184 bytes in total; these take 20,132,659,200",
        ),
    ],
)
def test_what_can_not_be_drawn_is_refused(arguments, message):
    with pytest.raises(ValidationError) as caught:
        Synthetic(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", [(784,), (4, 4, 1)])
def test_an_input_that_is_no_image_is_named(tmp_path, shape):
    with pytest.raises(DeclarationError, match=r"image_shape must be .*; received \[.*\] as the model's input_shape"):
        describe(DataSection(dataset="synthetic"), tmp_path, shape)
