"""The images with the most wrong pixels, and masks over them."""

import numpy as np
import pytest
from PIL import Image

from cnncli.datasets.dataset import Split
from cnncli.layers.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from cnncli.report.plots.overlays import COVER, class_colors, covered
from cnncli.training.metrics.statistics import class_numbers, valid_rows
from cnncli.training.metrics.worst_masks import KEPT, WorstMasks


def add(worst, loss, scores, targets, start=0):
    worst.add(class_numbers(targets), class_numbers(scores), valid_rows(loss, targets), start)


def test_the_worst_masks_are_those_of_all_images_in_whatever_batches():
    random = np.random.RandomState(0)
    count = 3 * KEPT
    scores = random.rand(count, 4, 5, 3).astype(np.float32)
    true = random.randint(0, 3, (count, 4, 5))
    scores[5] = np.eye(3)[true[5]]  # all right: never listed
    targets = np.eye(3, dtype=np.float32)[true]
    split = Split(np.zeros((count, 4, 5, 1), np.uint8), None, "source", "test")
    shares = (scores.argmax(-1) != true).reshape(count, -1).mean(1)
    expected = sorted(range(count), key=lambda row: (-shares[row], row))[:KEPT]
    for size in (1, 7, count):
        worst = WorstMasks(split)
        for start in range(0, count, size):
            part = slice(start, start + size)
            add(worst, CategoricalCrossentropy(), scores[part], targets[part], start)
        assert [mistake.position for mistake in worst.found] == expected
        assert [mistake.wrong for mistake in worst.found] == pytest.approx(shares[expected])
        np.testing.assert_array_equal(worst.found[0].predicted, scores[expected[0]].argmax(-1))
        np.testing.assert_array_equal(worst.found[0].true, true[expected[0]])


def test_void_pixels_are_neither_wrong_nor_counted():
    targets = np.eye(3, dtype=np.float32)[np.random.RandomState(2).randint(0, 3, (3, 4, 4))]
    scores = np.roll(targets, 1, -1)  # all wrong
    scores[0, :, 1:] = targets[0, :, 1:]
    targets[0, 2:] = 0  # 8 pixels are left, of which 2 are wrong
    targets[2] = 0
    worst = WorstMasks(Split(np.zeros((3, 4, 4, 1), np.uint8), None, "source", "test"))
    add(worst, SparseCategoricalCrossentropy(ignore_class=9), scores, targets)
    assert [(mistake.position, mistake.wrong) for mistake in worst.found] == [(1, 1.0), (0, 0.25)]
    assert worst.found[1].differs.tolist() == [[True, False, False, False]] * 2 + [[False] * 4] * 2


def test_right_masks_are_no_mistakes():
    targets = np.eye(2, dtype=np.float32)[np.random.RandomState(1).randint(0, 2, (4, 3, 3))]
    worst = WorstMasks(Split(np.zeros((4, 3, 3, 1), np.uint8), None, "source", "test"))
    add(worst, CategoricalCrossentropy(), targets, targets)
    assert worst.found == []


def test_a_mask_covers_its_image_except_where_it_is_of_class_0():
    image = Image.fromarray(np.full((2, 2, 3), 100, np.uint8))
    colors = class_colors(3)
    drawn = np.asarray(covered(image, np.array([[0, 1], [2, 0]], np.uint8), colors))
    assert drawn[0, 0].tolist() == drawn[1, 1].tolist() == [100, 100, 100]
    for place, number in (((0, 1), 1), ((1, 0), 2)):
        np.testing.assert_allclose(drawn[place], (1 - COVER) * 100 + COVER * colors[number], atol=0.51)
    assert len({tuple(color) for color in class_colors(9).tolist()}) == 9
