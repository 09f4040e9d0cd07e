"""`targets: masks`: what each pixel of an image shows, read, fed, moved and mixed with its image."""

import numpy as np
import pytest

from cnncli.datasets import describe
from cnncli.datasets.augment.policies import AugMix
from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Split
from cnncli.datasets.load import load
from cnncli.datasets.masks import settled
from cnncli.datasets.section import AUGMENTATIONS, DataSection
from cnncli.datasets.sources import shapes
from cnncli.datasets.sources.synthetic import Synthetic
from cnncli.errors import CnncliError, DeclarationError
from cnncli.graph.model import Model, Node, only
from cnncli.graph.network import Network
from cnncli.layers.convolution import Conv2D
from cnncli.layers.losses import (
    LOSSES,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from cnncli.ops import streams
from tests.reference import mix as twin

CLASSES = 4
MASKS = np.random.default_rng(0).integers(0, CLASSES, (16, 9, 8)).astype(np.uint8)


def filled(augment=(), y=MASKS, channels=CLASSES, *, x=None, loss=None, rescale=1.0, step=2):
    """The inputs and targets of a batch of all; the images are the masks themselves where no others are given."""
    x = MASKS[..., None] if x is None else x
    inputs, targets = np.zeros(x.shape, np.float32), np.zeros((*x.shape[:3], channels), np.float32)
    parsed = [AUGMENTATIONS.parse(entry) for entry in augment]
    split = Split(x, y, "own.npz", "x_train", 100)
    feed = Feed(split, rescale, loss or CategoricalCrossentropy(), inputs, {"output": targets}, augment=parsed, seed=7)
    feed.fill(slice(len(x)), step)
    return inputs, targets


def test_a_class_number_becomes_a_row_of_scores_for_each_pixel():
    _, targets = filled()
    assert np.array_equal(targets, np.eye(CLASSES)[MASKS])


def test_two_classes_are_0_and_1_where_the_model_gives_one_number_a_pixel():
    _, targets = filled(y=MASKS % 2, channels=1, loss=BinaryCrossentropy())
    assert np.array_equal(targets[..., 0], MASKS % 2)


MOVES = [
    {"RandomFlip": {}},
    {"RandomCrop": {"height": 9, "width": 8, "padding": 3}},
    {"RandomPerspective": {"factor": [0.6, 0.9]}},
    {"RandomElasticTransform": {"factor": [0.6, 0.9], "fill_mode": "wrap"}},
    *(
        {name: {**factors, "fill_mode": fill}}
        for fill in ("constant", "reflect", "wrap", "nearest")
        for name, factors in (
            ("RandomTranslation", {"height_factor": 0.5, "width_factor": 0.5}),
            ("RandomRotation", {"factor": 0.5}),
            ("RandomZoom", {"height_factor": 0.6, "width_factor": 0.5}),
            ("RandomShear", {"x_factor": 0.9, "y_factor": 0.3}),
        )
    ),
]


@pytest.mark.parametrize("entry", MOVES, ids=lambda entry: "_".join([*entry, entry[min(entry)].get("fill_mode", "")]))
def test_a_mask_moves_with_its_image_and_is_never_blended(entry):
    ((name, arguments),) = entry.items()
    blends = "fill_mode" in arguments or name == "RandomPerspective"
    nearest = {"interpolation": "nearest"} if blends else {}
    inputs, targets = filled([{name: {**arguments, **nearest}}])
    assert not np.array_equal(inputs[..., 0], MASKS)
    assert np.array_equal(targets, np.eye(CLASSES)[inputs[..., 0].astype(int)])
    assert np.array_equal(filled([entry])[1], targets)  # also where its image is blended from four pixels


def test_what_moves_images_within_other_augmentations_moves_their_masks():
    augment = [{"RandAugment": {"num_ops": 2, "factor": [0.4, 0.8], "interpolation": "nearest"}}]
    _, targets = filled(augment)
    assert not np.array_equal(targets, np.eye(CLASSES)[MASKS])
    # The same things done to images whose tone shows nothing but a plane's border between two halves.
    halves = np.broadcast_to(np.uint8([0, 0, 0, 0, 1, 1, 1, 1]), (16, 9, 8)).copy()
    inputs, moved = filled(augment, halves, 2, x=np.where(halves, 255, 0).astype(np.uint8)[..., None], rescale="auto")
    still = [i for i in range(16) if np.array_equal(moved[i], np.eye(2)[halves[i]])]
    assert 0 < len(still) < 16
    for image, mask in zip(inputs[..., 0], moved.argmax(-1), strict=True):
        dark, light = image[mask == 0], image[mask == 1]
        assert not dark.size or not light.size or len(np.unique(dark)) + len(np.unique(light)) <= 4


def test_aug_mix_mixes_the_moved_masks_as_it_mixes_their_images(monkeypatch):
    monkeypatch.setattr(AugMix, "parts", property(AugMix._moves))
    halves = np.broadcast_to(np.uint8([0, 0, 0, 0, 1, 1, 1, 1]), (16, 9, 8)).copy()
    augment = [{"AugMix": {"factor": 0.5, "interpolation": "nearest", "value_range": [0, 1]}}]
    inputs, targets = filled(augment, halves, 2, x=halves[..., None])
    assert np.allclose(targets, np.concatenate([1 - inputs, inputs], axis=-1), rtol=0, atol=1e-6)
    assert len(np.unique(inputs)) > 16  # soft


def test_from_outside_comes_class_0_whatever_images_are_filled_with():
    away = {"height_factor": [1, 1], "width_factor": 0, "fill_mode": "constant", "fill_value": 200}
    assert np.array_equal(filled([{"RandomTranslation": away}])[1], np.eye(CLASSES)[0 * MASKS])
    _, binary = filled([{"RandomTranslation": away}], y=MASKS % 2, channels=1, loss=BinaryCrossentropy())
    assert not binary.any()
    dense = np.ones((16, 9, 8, 2), np.float32)
    assert not filled([{"RandomTranslation": away}], y=dense, channels=2, loss=MeanSquaredError())[1].any()


VOID = SparseCategoricalCrossentropy(ignore_class=255)


def test_void_is_a_row_of_zeros_and_comes_from_outside_of_an_image():
    masks = np.where(MASKS == 2, 255, MASKS).astype(np.uint8)
    away = {"height_factor": [0.4, 0.4], "width_factor": 0, "fill_mode": "constant"}
    assert np.array_equal(filled(y=masks, loss=VOID)[1], np.eye(CLASSES)[MASKS] * (MASKS != 2)[..., None])
    _, moved = filled([{"RandomTranslation": away}], loss=VOID)
    outside = moved.sum(-1) == 0
    assert 0 < outside.mean() < 1
    assert np.array_equal(outside, filled([{"RandomTranslation": away}], MASKS * 0 + 1)[1][..., 0] == 1)


def test_255_without_ignore_class_is_answered_with_it():
    masks = MASKS.copy()
    masks[3, 4, 5] = 255
    with pytest.raises(
        CnncliError, match=r"row 103 has 255: where 255 marks .* `loss: .*\{ignore_class: 255\}\}` \(and give .*\)$"
    ):
        filled(y=masks)
    filled(y=masks, loss=VOID)
    with pytest.raises(CnncliError, match=r"row 103 has 255$"):
        filled(y=masks, loss=SparseCategoricalCrossentropy(ignore_class=254))


def test_void_is_no_class_of_arrays_or_of_black_and_white_files(tmp_path):
    masks = np.random.default_rng(2).integers(0, 3, (4, 6, 5)).astype(np.uint8)
    masks[:, 0] = 255
    data = archive(tmp_path, y_train=masks)
    assert load(data, tmp_path, void=255).classes == ("0", "1", "2")
    assert len(load(data, tmp_path).classes) == 256
    assert load(archive(tmp_path, y_train=masks), tmp_path, void=255).train.y.max() == 255
    signed = np.where(masks == 255, -1, masks.astype(np.int64))
    made = load(archive(tmp_path, y_train=signed), tmp_path, void=-1)
    assert np.array_equal(np.concatenate([made.train.y, made.validation.y]), masks)
    assert made.classes == ("0", "1", "2")
    targets = filled(y=made.train.y, x=made.train.x, channels=3, loss=SparseCategoricalCrossentropy(ignore_class=-1))[1]
    assert np.array_equal(targets, (masks[:3, ..., None] == np.arange(3)))
    with pytest.raises(CnncliError, match=r"class numbers < 255 with `ignore_class: -1`; row 0 has 255$"):
        load(archive(tmp_path, y_train=masks), tmp_path, void=-1)
    black_and_white = np.uint8([[[0, 255]]])
    assert settled(black_and_white, None).tolist() == [[[0, 1]]]
    assert settled(black_and_white, 255).tolist() == [[[0, 255]]]


@pytest.mark.parametrize("entry", [{"RandomBrightness": {"factor": 0.5}}, {"RandomContrast": {"factor": 0.5}}])
def test_changes_of_tone_leave_masks_alone(entry):
    inputs, targets = filled([entry])
    assert not np.array_equal(inputs[..., 0], MASKS)
    assert np.array_equal(targets, np.eye(CLASSES)[MASKS])


def test_erasing_leaves_masks_alone_and_classes_that_are_labels_do_not_move():
    assert np.array_equal(filled(["RandomErasing"])[1], np.eye(CLASSES)[MASKS])
    labels, targets = np.arange(16) % 3, np.zeros((16, 3), np.float32)
    feed = Feed(
        Split(MASKS[..., None], labels, "own.npz", "x_train"),
        1.0,
        CategoricalCrossentropy(),
        np.zeros((16, 9, 8, 1), np.float32),
        {"output": targets},
        augment=[AUGMENTATIONS.parse("RandomFlip")],
    )
    feed.fill(slice(16))
    assert np.array_equal(targets, np.eye(3)[labels])


def test_masks_are_cut_as_their_images_are_and_blended_by_the_same_weights():
    inputs, targets = filled(["CutMix"])
    assert not np.array_equal(inputs[..., 0], MASKS)
    assert np.array_equal(targets, np.eye(CLASSES)[inputs[..., 0].astype(int)])
    order, weight, _, _ = twin.drawn(7, streams.AUGMENTATION, streams.NOISE, 2, 16, (0.2, 0.2))
    expected = twin.blended(np.eye(CLASSES)[MASKS], order, weight)
    assert np.allclose(filled(["MixUp"])[1], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("categorical_crossentropy", 3),
        ("sparse_categorical_crossentropy", 3),
        ("binary_crossentropy", 1),
        ("binary_crossentropy", 3),
        ("mean_squared_error", 3),
    ],
)
def test_the_loss_of_an_image_is_the_mean_over_its_pixels(name, channels):
    activation = "softmax" if "categorical" in name else "sigmoid"
    layer = Conv2D(filters=channels, kernel_size=(1, 1), activation=activation)
    network = Network(Model((9, 8, 2), (Node("conv", layer, ("input",)),)), LOSSES.parse(name), batch_size=16)
    network.initialize(3)
    images = np.random.default_rng(1).integers(0, 256, (16, 9, 8, 2)).astype(np.uint8)
    masks = MASKS % max(2, channels)
    Feed(Split(images, masks, "own.npz", "x_train"), "auto", network.loss, network.inputs, network.targets).fill(
        slice(16)
    )
    network.evaluate(16)
    p = only(network.predictions)[:16].astype(np.float64)
    assert p.shape == (16, 9, 8, channels)
    t = np.eye(channels)[masks] if channels > 1 else masks[..., None].astype(float)
    each = {
        "categorical_crossentropy": -(t * np.log(p)).sum(-1),
        "binary_crossentropy": -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1),
        "mean_squared_error": ((p - t) ** 2).mean(-1),
    }[name.removeprefix("sparse_")]
    assert np.allclose(network.losses[:16], each.mean(axis=(1, 2)), rtol=1e-5)


def archive(folder, **arrays):
    path = folder / "own.npz"
    images = np.zeros((4, 6, 5, 3), np.uint8)
    np.savez(path, x_train=images, **arrays)
    return DataSection(dataset=str(path), targets="masks", validation_split=0.25)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16, bool])
@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 1)])
def test_arrays_hold_whole_numbers_for_pixels(tmp_path, dtype, shape):
    masks = np.random.default_rng(2).integers(0, 2, shape).astype(dtype)
    data = archive(tmp_path, y_train=masks)
    found, made = describe.describe(data, tmp_path), load(data, tmp_path)
    assert found.input_shape == (6, 5, 3)
    assert made.train.y.dtype == np.uint8
    assert np.array_equal(np.concatenate([made.train.y, made.validation.y]), masks.reshape(4, 6, 5))
    assert made.classes == ("0", "1")


def test_arrays_hold_rows_of_scores_in_floating_point(tmp_path):
    masks = np.random.default_rng(2).random((4, 6, 5, 7))
    made = load(archive(tmp_path, y_train=masks), tmp_path)
    assert np.array_equal(made.train.y, masks[:3].astype(np.float32))
    assert made.classes == tuple("0123456")


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (np.zeros(4, int), r"\(N, 6, 5\) integers or \(N, 6, 5, C\) floats; received int64 \(4,\)"),
        (np.zeros((4, 6, 4), int), r"received int64 \(4, 6, 4\)"),
        (np.zeros((4, 6, 5, 2), int), r"received int64 \(4, 6, 5, 2\)"),
        (np.zeros((4, 6, 5)), r"received float64 \(4, 6, 5\)"),
        (np.arange(480).reshape(4, 6, 20)[..., :5], "≤ 255; row 3 has 464"),
        (np.arange(120).reshape(4, 6, 5) - 1, "≥ 0; row 0 has -1"),
    ],
)
def test_arrays_that_are_no_masks_are_named(tmp_path, masks, said):
    with pytest.raises(CnncliError, match=rf"own\.npz: .*y_train must hold .*{said}$"):
        load(archive(tmp_path, y_train=masks), tmp_path)


@pytest.mark.parametrize(
    ("y", "channels", "said"),
    [
        (
            MASKS + 1,
            4,
            "y_train must hold class numbers below 4, the number of classes of the model's outputs; row 100",
        ),
        (MASKS, 1, "y_train must hold class numbers below 2, the number of classes of the model's outputs; row 100"),
        (MASKS[:, :8], 4, r"hold a class number for each of 8 × 8 pixels, but the model's outputs are \(9, 8, 4\)"),
    ],
)
def test_masks_that_do_not_fit_the_model_are_named(y, channels, said):
    with pytest.raises(CnncliError, match=f"^own.npz: y_train .*{said}" if "hold a" in said else f"^own.npz: {said}"):
        filled(y=y, channels=channels)


def test_a_file_is_named_by_its_name():
    names = [f"masks/{number}.png" for number in range(16)]
    split = Split(MASKS[..., None], MASKS, "photos", "train", files=names)
    arrays = np.zeros((16, 9, 8, 1), np.float32), {"output": np.zeros((16, 9, 8, 3), np.float32)}
    with pytest.raises(CnncliError, match=r"^photos: the masks of train must hold .* below 3, .*; masks/0\.png has 3$"):
        Feed(split, 1.0, CategoricalCrossentropy(), *arrays)


def test_synthetic_masks_show_the_shapes_and_nothing_else():
    source = Synthetic(image_shape=(16, 16, 1), classes=4, train=40, test=8, seed=3)
    made = load(DataSection(dataset=source, targets="masks"), None)
    assert made.classes == ("background", "disc", "square", "triangle", "plus")
    images, labels = shapes.draw(source, "train")
    assert np.array_equal(made.train.x, images)
    for image, mask, label in zip(images[..., 0].astype(int), made.train.y, labels, strict=True):
        assert set(np.unique(mask)) == {0, label + 1}
        # A shape differs from what is around it by at least 96 levels, and the noise of both has a mean of about 0.
        assert abs(image[mask > 0].mean() - image[mask == 0].mean()) > 40
    description = describe.describe(DataSection(dataset=source, targets="masks"), None)
    assert (description.classes, description.samples) == (5, {"train": 40, "test": 8})


def test_datasets_of_labels_have_no_masks(tmp_path):
    for name in ("mnist5k", "mnist"):
        for asked in (describe.describe, load):
            with pytest.raises(
                CnncliError, match=f"requires images with masks; {name} has labels only|y_train must hold"
            ):
                asked(DataSection(dataset=name, targets="masks"), tmp_path)
    with pytest.raises(DeclarationError, match="classes must be at most 255; received 300"):
        describe.describe(DataSection(dataset=Synthetic(classes=300), targets="masks"), tmp_path)
