"""Arrays divided class by class, and classes that would be judged by though none of them is trained on."""

import numpy as np
import pytest

from cnncli.datasets.describe import describe
from cnncli.datasets.load import load
from cnncli.datasets.section import DataSection
from cnncli.datasets.splits.stratify import untrained
from cnncli.errors import CnncliError, DeclarationError
from cnncli.layers.declarations.validation_errors import ValidationError

SORTED = np.repeat([0, 1, 2], [10, 7, 5])
ONE_HOT = np.eye(3, dtype=np.float32)[SORTED]
STRATIFIED = {"validation_split": 0.2, "stratified": True}


def made(folder, y, *, seed=0, given=(), **options):
    x = np.arange(len(y), dtype=np.uint8)[:, None, None].repeat(4, axis=1).repeat(4, axis=2)
    np.savez(folder / "own.npz", x_train=x, y_train=y, **dict(given))
    return load(DataSection(dataset="own.npz", **options), folder, seed=seed)


@pytest.mark.parametrize("y", [SORTED, ONE_HOT, SORTED[:, None], ONE_HOT.astype(np.int64)], ids=str)
def test_the_last_rows_must_not_be_the_only_ones_of_a_class(tmp_path, y):
    with pytest.raises(DeclarationError) as caught:
        made(tmp_path, y, validation_split=0.3)
    assert str(caught.value) == (
        f"{tmp_path}/own.npz: y_train: validation_split takes the last rows, which include all of class 2, from "
        "row 17: set `stratified: true` under `data` to split each class, or shuffle the rows"
        + "; if the labels are not classes, save them as floating point"
        * (y.size == len(y))
    )
    assert caught.value.key == "validation_split"


def test_a_column_of_two_classes_is_held_to_the_same(tmp_path):
    with pytest.raises(DeclarationError, match="which include all of class 1"):
        made(tmp_path, np.repeat([0.0, 1.0], [15, 5]), validation_split=0.25)


@pytest.mark.parametrize("y", [SORTED, ONE_HOT, ONE_HOT.astype(np.int64)], ids=["numbers", "one-hot", "whole one-hot"])
def test_a_stratified_split_takes_of_each_class_what_keras_would_take_of_all(tmp_path, y):
    found = made(tmp_path, y, **STRATIFIED, test_split=0.1)
    counts = {name: np.bincount(SORTED[split.numbers]).tolist() for name, split in found.splits.items()}
    # n − ⌊n · 0.8⌋ and n − ⌊n · 0.9⌋ of 10, 7 and 5
    assert counts == {"train": [7, 4, 3], "validation": [2, 2, 1], "test": [1, 1, 1]}
    rows = np.concatenate([split.numbers for split in found.splits.values()])
    assert sorted(rows.tolist()) == list(range(22))
    assert found.validation.document() == {"array": "x_train", "rows": found.validation.numbers.tolist()}


def test_the_seed_alone_decides(tmp_path):
    first, again, other = (
        made(tmp_path, SORTED, seed=seed, **STRATIFIED).validation.numbers.tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_test_rows_are_the_same_whatever_is_kept_for_validation(tmp_path):
    kept = [
        made(tmp_path, SORTED, stratified=True, test_split=0.2, validation_split=v).test.numbers.tolist()
        for v in (0.0, 0.4)
    ]
    assert kept[0] == kept[1]


def test_rows_of_several_classes_count_for_their_rarest(tmp_path):
    y = np.zeros((12, 2), np.float32)
    y[:, 0], y[8:, 1] = 1, 1
    found = made(tmp_path, y, validation_split=0.25, stratified=True)
    # Of the four that also show class 1 one, of the other eight two.
    assert y[found.validation.numbers].sum(axis=0).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("y", "share", "said"),
    [
        (np.linspace(0, 1, 22), 0.2, "stratified needs classes: .*y_train must hold class numbers or rows of 0 and 1"),
        (
            np.repeat([0, 1], [20, 2]),
            0.6,
            r"training images must show every class; train has none of '1' \(2 in total\)",
        ),
    ],
)
def test_what_can_not_be_stratified(tmp_path, y, share, said):
    with pytest.raises(DeclarationError, match=said):
        made(tmp_path, y, validation_split=share, stratified=True)


@pytest.mark.parametrize("targets", ["masks", "input"])
def test_only_labels_are_stratified(targets):
    with pytest.raises(ValidationError, match=f"remove it with `targets: {targets}`"):
        DataSection(dataset="own.npz", targets=targets, **STRATIFIED)


def test_a_share_for_the_test_is_of_stratified_arrays_only(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=np.zeros((22, 4, 4), np.uint8), y_train=SORTED)
    own = DataSection(dataset="own.npz", test_split=0.2)
    for read in (describe, load):
        with pytest.raises(DeclarationError, match="test_split of arrays requires `stratified: true`") as caught:
            read(own, tmp_path)
        assert caught.value.key == "test_split"
    found = describe(own.replace(stratified=True), tmp_path)
    assert found.samples.keys() == {"train", "test"}


def test_own_splits_leave_no_share_to_take(tmp_path):
    given = {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": [0, 1]}
    with pytest.raises(DeclarationError, match="test_split must be omitted because the data has its own x_test"):
        made(tmp_path, SORTED, given=given, stratified=True, test_split=0.2)


def test_a_folder_can_not_be_divided_otherwise(tmp_path):
    (tmp_path / "own.csv").write_text("label,a,b,c,d\n" + "0,1,2,3,4\n1,4,3,2,1\n" * 4)
    data = DataSection(dataset="own.csv", validation_split=0.5, stratified=False)
    for read in (describe, load):
        with pytest.raises(DeclarationError, match=r"stratified must be true or omitted"):
            read(data, tmp_path)
    assert len(load(data.replace(stratified=True), tmp_path).validation) == 4


def test_one_hot_test_rows_of_an_untrained_class_are_refused(tmp_path):
    given = {"x_test": np.zeros((2, 4, 4), np.uint8), "y_test": np.eye(3, dtype=np.float32)[[0, 2]]}
    with pytest.raises(CnncliError, match=r"y_test must hold only classes that are in the training data; row 1 has 2$"):
        made(tmp_path, ONE_HOT[:15], given=given)


@pytest.mark.parametrize("y", [SORTED, ONE_HOT], ids=["numbers", "one-hot"])
def test_folds_have_their_share_of_every_class(tmp_path, y):
    for fold in (1, 2, 3):
        counts = np.bincount(SORTED[made(tmp_path, y, folds=3, fold=fold).validation.numbers], minlength=3)
        assert (abs(counts - np.array([10, 7, 5]) / 3) < 1).all()


def lacking(dataset):
    return untrained(dataset.splits, dataset.classes)


def test_classes_of_masks_and_of_several_that_are_not_trained_on_are_known(tmp_path):
    masks = np.zeros((10, 4, 4), np.uint8)
    masks[:, 0], masks[9, 3, 3] = 1, 5
    assert lacking(made(tmp_path, masks, targets="masks", validation_split=0.2)) == {"validation": ["5"]}
    several = np.ones((10, 3), np.float32)
    several[:8, 2] = 0
    several[0] = 0
    assert lacking(made(tmp_path, several, validation_split=0.2)) == {"validation": ["2"]}
    assert lacking(made(tmp_path, several[::-1], validation_split=0.2)) == {}
    assert lacking(made(tmp_path, SORTED[::-1], validation_split=0.2)) == {}
