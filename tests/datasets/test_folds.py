"""Folds: every image is kept for validation once, each fold has its share of every class."""

import numpy as np
import pytest

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.errors import DeclarationError
from cnncli.layers.declarations.validation_errors import ValidationError

LABELS = np.repeat([0, 1, 2], [12, 7, 5])


def folds(place, **keys):
    return DataSection(dataset=str(place), **keys)


@pytest.fixture
def arrays(tmp_path):
    np.savez(
        tmp_path / "own.npz", x_train=np.arange(24, dtype=np.uint8).repeat(16).reshape(24, 4, 4), y_train=LABELS,
        x_test=np.zeros((3, 4, 4), np.uint8), y_test=np.arange(3),
    )  # fmt: skip
    return tmp_path / "own.npz"


def test_each_image_is_kept_once_and_each_fold_has_its_share_of_every_class(arrays):
    kept = []
    for fold in range(1, 6):
        data = folds(arrays, folds=5, fold=fold)
        made, said = load(data, arrays.parent, seed=3), describe(data, arrays.parent)
        assert {name: len(split) for name, split in made.splits.items()} == dict(said.samples)
        train, validation = made.train.numbers, made.validation.numbers
        assert sorted([*train, *validation]) == list(range(24))
        counts = np.bincount(LABELS[validation], minlength=3)
        assert all(abs(counts - np.array([12, 7, 5]) / 5) < 1)
        assert made.validation.document() == {"array": "x_train", "rows": validation.tolist()}
        kept += [*validation]
    assert sorted(kept) == list(range(24))


def test_folds_follow_the_seed(arrays):
    data = folds(arrays, folds=4, fold=2)
    first, again, other = (load(data, arrays.parent, seed=seed).validation.numbers.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_there_are_no_more_folds_than_images(arrays):
    with pytest.raises(DeclarationError, match="folds must be at most the number of training images, 24"):
        describe(folds(arrays, folds=30), arrays.parent)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"folds": 3, "validation_split": 0.2}, "omit validation_split"),
        ({"folds": 3, "fold": 4}, "fold must be at most folds, 3"),
        ({"fold": 2}, "fold must be at most folds, 1"),
    ],
)
def test_what_does_not_go_with_folds(arrays, keys, message):
    with pytest.raises(ValidationError, match=message):
        folds(arrays, **keys)


def test_the_only_image_of_a_class_is_trained_on_in_every_fold(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=np.zeros((5, 4, 4), np.uint8), y_train=np.array([0, 0, 0, 0, 1]))
    made = [DataSection(dataset="own.npz", folds=2, fold=fold) for fold in (1, 2)]
    kept = [load(data, tmp_path).validation.numbers.tolist() for data in made]
    assert sorted(kept[0] + kept[1]) == [0, 1, 2, 3]
    np.savez(tmp_path / "own.npz", x_train=np.zeros((2, 4, 4), np.uint8), y_train=np.array([0, 1]))
    with pytest.raises(DeclarationError, match=r"^folds must leave images for validation; each class has a single one"):
        load(made[0], tmp_path)


def test_own_validation_images_leave_nothing_to_fold(tmp_path):
    x, y = np.zeros((4, 4, 4), np.uint8), np.arange(4) % 2
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_val=x, y_val=y)
    data = folds(tmp_path / "own.npz", folds=2)
    for read in (describe, load):
        with pytest.raises(DeclarationError, match="its own validation images"):
            read(data, tmp_path)
