import numpy as np
import pytest

from cnncli import kernels
from cnncli.datasets.batches import Feed, order
from cnncli.datasets.dataset import Split
from cnncli.errors import CnncliError
from cnncli.layers.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from cnncli.ops import streams


def feed(x, y, outputs, loss=None, *, rescale="auto", start=0):
    inputs = np.full((4, *x.shape[1:]), 9, np.float32)
    targets = np.full((4, *outputs), 9, np.float32)
    split, places = Split(x, y, "own.npz", "x_train", start), {"output": targets}
    return Feed(split, rescale, loss or CategoricalCrossentropy(), inputs, places)


LEVELS = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
FLOATS = np.linspace(-3, 3, 8, dtype=np.float32).reshape(4, 2, 1, 1)


def test_uint8_is_divided_by_255_in_float32_to_the_bit():
    made = feed(LEVELS, np.zeros(4, np.int64), (3,))
    assert made.fill(slice(0, 4)) == 4
    assert np.array_equal(made.inputs, LEVELS.astype(np.float32) / 255)


def test_floats_are_left_alone_and_a_number_multiplies_whatever_comes():
    made = feed(FLOATS, np.zeros(4, np.int64), (3,))
    made.fill(slice(0, 4))
    assert np.array_equal(made.inputs, FLOATS)
    for images in (FLOATS, LEVELS):
        made = feed(images, np.zeros(4, np.int64), (3,), rescale=0.5)
        made.fill(slice(0, 4))
        assert np.array_equal(made.inputs, images.astype(np.float32) * np.float32(0.5))


def test_class_numbers_become_one_hot_rows_and_other_rows_stay():
    made = feed(LEVELS, np.array([2, 0, 1, 2]), (3,))
    assert made.fill(np.array([3, 1])) == 2
    assert made.target.tolist() == [[0, 0, 1], [1, 0, 0], [9, 9, 9], [9, 9, 9]]
    assert np.array_equal(made.inputs[0], LEVELS[3].astype(np.float32) / 255)


def test_batches_of_an_epoch_are_the_rows_in_its_order_and_the_last_one_may_be_smaller():
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (10, 5, 3, 2)).astype(np.uint8), generator.integers(0, 3, 10)
    made, rows = feed(x, y, (3,)), order(10, 7, 0, shuffle=True)
    for start in (0, 4, 8, 0):
        part = rows[start : start + 4]
        assert made.fill(part) == len(part)
        assert np.array_equal(made.inputs[: len(part)], x[part].astype(np.float32) / 255)
        assert np.array_equal(made.target[: len(part)], np.eye(3)[y[part]])


def test_a_slice_of_an_array_that_is_not_contiguous_is_fed_as_any_other():
    wide = np.arange(4 * 6 * 6 * 2, dtype=np.uint8).reshape(4, 6, 6, 2)
    made = feed(wide[:, 1:4, ::2, 1:], np.zeros(8, np.int64)[::2], (3,), rescale=1)
    made.fill(slice(0, 4))
    assert np.array_equal(made.inputs, wide[:, 1:4, ::2, 1:])


def test_rows_that_there_are_not_are_refused_and_more_than_there_is_room_for():
    made = feed(LEVELS, np.zeros(4, np.int64), (3,))
    with pytest.raises(IndexError, match="4 is out of bounds"):
        made.fill(np.array([0, 4]))
    with pytest.raises(ValueError, match="could not broadcast"):
        made.fill(np.array([0, 1, 2, 3, 0]))


def test_class_numbers_stand_for_themselves_where_there_is_one_output():
    for loss in (MeanSquaredError(), BinaryCrossentropy()):
        made = feed(LEVELS, np.array([1, 0, 1, 1]), (1,), loss)
        made.fill(slice(1, 3))
        assert made.target[:2].tolist() == [[0], [1]]


def test_dense_rows_are_taken_as_they_are():
    made = feed(LEVELS, np.array([[0.5, 2], [1, 3], [0, 0], [4, 5]], np.float32), (2,), MeanSquaredError())
    made.fill(slice(0, 2))
    assert made.target[:2].tolist() == [[0.5, 2], [1, 3]]


def test_the_target_of_an_autoencoder_is_the_scaled_input():
    made = feed(LEVELS, None, (8, 8, 1), MeanSquaredError())
    made.fill(slice(0, 4))
    assert np.array_equal(made.target, LEVELS.astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("images", "rescale", "said"),
    [
        (LEVELS, 1.0, r"images between 0 and 1 after rescaling; x_train\[10\] has 63.0"),
        (LEVELS, -1 / 255, r"x_train\[10\] has -0.247\d*"),
        (FLOATS, "auto", r"x_train\[10\] has -3.0"),
        (FLOATS + 3, "auto", r"x_train\[11\] has 1.714\d*"),
        (LEVELS, "auto", ""),
        (FLOATS + 3, 1 / 6, ""),
    ],
)
def test_images_are_probabilities_where_a_loss_compares_them_as_such(images, rescale, said):
    def made(loss):
        return feed(images, None, images.shape[1:], loss, rescale=rescale, start=10)

    made(MeanSquaredError())
    if not said:
        made(BinaryCrossentropy())
        return
    with pytest.raises(CnncliError, match=f"^own.npz: with `targets: input` BinaryCrossentropy requires .*{said}$"):
        made(BinaryCrossentropy())


ROWS = np.zeros((4, 2), np.float32)
MISTAKES = [
    (
        (LEVELS, np.array([0, 3, 1, 2]), (3,)),
        "own.npz: y_train must hold class numbers below 3, the number of the model's outputs; row 11 has 3",
    ),
    (
        (LEVELS, np.array([0, 1, -1, 2]), (3,)),
        "own.npz: y_train must hold class numbers below 3, the number of the model's outputs; row 12 has -1",
    ),
    (
        (LEVELS, ROWS, (3,)),
        "own.npz: y_train must hold integer class numbers or rows of the model's output shape (3,); "
        "received float32 rows of shape (2,)",
    ),
    (
        (LEVELS, np.array([0, 1, 2, 1]), (1,), BinaryCrossentropy()),
        "own.npz: y_train must hold targets between 0 and 1 for BinaryCrossentropy; row 12 has 2",
    ),
    (
        (LEVELS, ROWS - 1, (2,)),
        "own.npz: y_train must hold targets between 0 and 1 for CategoricalCrossentropy; row 10 has -1.0",
    ),
    (
        (LEVELS, np.array([[0, 1, 0], [0.33, 0.33, 0.33], [1, 0, 1], [0, 0, 0]], np.float32), (3,)),
        "own.npz: y_train must hold rows that sum to 1 for CategoricalCrossentropy (multi-label data requires "
        "sigmoid and binary_crossentropy); row 12 has 2.0",
    ),
    (
        (LEVELS, np.zeros((4, 8, 8, 3), np.float32), (8, 8, 3), SparseCategoricalCrossentropy()),
        "own.npz: y_train must hold rows that sum to 1 for SparseCategoricalCrossentropy (multi-label data "
        "requires sigmoid and binary_crossentropy); row 10 has 0.0",
    ),
    (
        (LEVELS, None, (3,)),
        "with `targets: input` the model's output must have the input's shape (8, 8, 1); received (3,)",
    ),
    (
        (LEVELS, np.zeros(4, np.int64), (2, 2)),
        "own.npz: y_train holds class numbers, but the model's outputs are (2, 2)",
    ),
]


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES)
def test_data_that_do_not_fit_the_network_are_named(arguments, expected):
    with pytest.raises(CnncliError) as caught:
        feed(*arguments, start=10)
    assert str(caught.value) == expected


def test_images_of_another_shape_are_named():
    split = Split(LEVELS, np.zeros(4, np.int64), "own.npz", "x_test")
    arrays = np.zeros((4, 5, 5, 1), np.float32), {"output": np.zeros((4, 3), np.float32)}
    with pytest.raises(CnncliError, match=r"x_test must hold images of the model's shape \(5, 5, 1\); received \(8, 8"):
        Feed(split, "auto", CategoricalCrossentropy(), *arrays)


def test_an_epochs_order_is_a_permutation_that_only_seed_and_epoch_decide():
    first = order(100, 7, 3, shuffle=True)
    assert sorted(first.tolist()) == list(range(100))
    assert np.array_equal(first, kernels.random.permutation(100, 7, streams.SHUFFLE, 3))
    assert np.array_equal(order(100, 7, 3, shuffle=True), first)
    assert not np.array_equal(order(100, 7, 4, shuffle=True), first)
    assert not np.array_equal(order(100, 8, 3, shuffle=True), first)
    assert order(5, 7, 3, shuffle=False).tolist() == [0, 1, 2, 3, 4]
